"""Studies: a search for the settings of one arm, on validation carved from train. `python -m
benchmark.search` is the command.

files of this folder:
    space      which parameters, between which ends          settings   a params file with some values changed
    storage    the database, its errors, its heartbeat       identity   what makes two calls the same study
    samplers   the next values, keyed by the trial           pruning    when a trial is given up
    objective  one trial: every seed, reports, the score     training   the score of one seed: masks, tuning,
        validation
    work       one worker's loop                             tracks     the study's MLflow run and the trials'
    below it
    export     studies/NAME.best.yaml                        apply      its values into params.yaml, the
    difference first
    figures    history, importance, gamma and zeta, Pareto   status     the trials as a table
"""
