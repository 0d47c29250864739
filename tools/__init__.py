"""What only renews docs/: performance, calibration, the page of deviations, a day on a GPU. Not installed."""

import sys

import benchmark  # noqa: F401 (its start holds for these commands too: the Python that is needed, Ctrl-C)

GROUPS = {
    "what renews a page of docs/": {
        "performance": "how fast the project is, as ratios inside one run",
        "calibration": "the error rates of compare's verdicts, simulated",
        "deviations": "where the code deviates from the paper, from its knobs",
    },
    "what needs a GPU for a quarter of an hour": {
        "gpu_day": "every figure and every path that needs one: packed here, run there, brought home",
    },
}

if sys.argv[:1] == ["-m"]:  # Python looks up the module of `-m`
    from benchmark.cli.front import check_module

    check_module(sys.orig_argv, "tools", GROUPS)
