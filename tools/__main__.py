"""`python -m tools`: the makers' commands, which renew pages of docs/; with one and its arguments: run it."""

from benchmark.cli.front import main
from tools import GROUPS

if __name__ == "__main__":
    main("tools", GROUPS)
