"""`python -m tools`: the makers' commands, which renew pages of docs/; with one and its arguments: run it."""

from benchmark.cli.front import main

GROUPS = {
    "what renews a page of docs/": {
        "performance": "how fast the project is, as ratios inside one run",
        "calibration": "the error rates of compare's verdicts, simulated",
        "deviations": "where the code deviates from the paper, from its knobs",
    }
}

if __name__ == "__main__":
    main("tools", GROUPS)
