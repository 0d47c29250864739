"""`python -m benchmark`: the verbs by group; with a verb and its arguments: run it."""

from benchmark.cli.front import main

if __name__ == "__main__":
    main()
