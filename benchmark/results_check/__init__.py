"""What `benchmark.check` looks at in a results folder: one module per question, all of them writing into
one `Findings`.

    records       the folder's files; a result's fields, name and seal
    plausibility  one run: averages, masks, deviation
    agreement     all runs: profile, evaluator, data, seeds, what an arm is
    origin        arms as the profile declares them; the trained runs beside the results
    tables        one Parquet: columns, counts, means, digest
    examples      all runs: the same examples, contexts and answers
    scoring       every prediction scored again
    copies        predictions that two runs share

No torch, MLflow or DVC, and no network.
"""
