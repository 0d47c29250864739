"""Studies: a search for the settings of one arm, on validation carved from train. `python -m
benchmark.search` is the command.

Files of this folder:

    search_options  the command line                 study_run    a call that runs trials
    space           which parameters, what ends      settings     a params file with some values changed
    storage         the database, its heartbeat      identity     what makes two calls the same study
    samplers        values, keyed by the trial       pruning      when a trial is given up
    objective       one trial: its seeds, its score  training     one seed: masks, tuning, validation
    worker          one worker's loop                mlflow_runs  the study's MLflow run, the trials' below it
    export          studies/NAME.best.yaml           apply        its values into params.yaml
    outputs         what comes of a study            status       the trials as a table
"""
