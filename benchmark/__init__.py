"""The harness: every file here is a command; `python -m benchmark` lists them."""

import os
import signal
import sys

# Nothing here reports to anybody. Set before mlflow, huggingface_hub or dvc read them; a user's setting wins.
_QUIET = {
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DVC_NO_ANALYTICS": "1",
}
# Waiting threads sleep instead of spinning: on two cores shared with other work, a training step took 0.80 s
# instead of 4.4.
_SHARED = {"OMP_WAIT_POLICY": "passive"}
for _name, _value in {**_QUIET, **_SHARED}.items():
    os.environ.setdefault(_name, _value)

# Whether Python is starting one of our commands: while it looks up the module of `-m`, the word stands here.
if sys.argv[:1] == ["-m"] or os.path.basename(sys.argv[0] if sys.argv else "") == "bmt-benchmark":
    if sys.version_info < (3, 11):  # noqa: UP036 (outside the environment it may be another Python)
        sys.exit(
            f"error: {sys.executable} is Python {sys.version.split()[0]}; 3.11, 3.12 or 3.13 is needed: "
            "activate the project's environment (source .venv/bin/activate), which `make setup` makes"
        )
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # nohup and `&` have it ignored

        def _leave(number: int, frame: object) -> None:
            """Ctrl-C before there is anything to tidy up; `cli.commands.run_command` takes over from here."""
            os.write(2, b"interrupted\n")
            os._exit(130)

        signal.signal(signal.SIGINT, _leave)

    from benchmark.cli.front import check_module

    check_module(sys.orig_argv)
