"""Switch params.yaml to another profile, or show which one is active.

`python -m benchmark.profile` alone shows the active profile and what params.yaml changes in it; with a name
it copies `profiles/<name>.yaml` over params.yaml and says what that overwrites.
"""

from __future__ import annotations

from benchmark.cli.commands import command_parser, run_command
from benchmark.cli.messages import say


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, show or switch."""
    parser = command_parser("profile", __doc__, "python -m benchmark.profile mini")
    parser.add_argument(
        "name", nargs="?", help="the profile to switch to; without it the active one is shown"
    )
    name = parser.parse_args(arguments).name

    from benchmark.config.profiles import show, switch

    say(*(show() if name is None else switch(name)))
    return 0


if __name__ == "__main__":
    run_command(main)
