"""Transfer to other datasets: adapter tuning, zero-shot and few-shot (sections 4.5 and 4.6)."""
