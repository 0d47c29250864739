"""How often the verdicts of `benchmark.compare` are wrong, simulated through the functions that it uses."""
