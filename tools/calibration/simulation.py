"""The tables of the report and the simulation that fills them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from benchmark.cli.progress import progress
from tools.calibration.claim_tables import claim_tables
from tools.calibration.rate_tables import RateTable, Row
from tools.calibration.reproduction_tables import reproduction_tables


def tables(repetitions: int) -> list[RateTable]:
    """The tables of the report."""
    return [*reproduction_tables(repetitions), *claim_tables(claims_per_row(repetitions))]


def claims_per_row(repetitions: int) -> int:
    """Simulated claims, or tables of claims, of a row."""
    return max(1, repetitions // 10)


def simulate(tables: Sequence[RateTable], seed: int) -> dict[str, list[Row]]:
    """The rows of every table with their rates, by its key; `seed` fixes every figure."""
    rows: dict[str, list[Row]] = {table.key: [] for table in tables}
    with progress("calibrate", total=sum(len(table.simulations) for table in tables), unit="rows") as bar:
        for table in tables:
            for world, simulation in table.simulations:
                label = f"{table.key}: " + ", ".join(f"{name} {value}" for name, value in world.items())
                rates = simulation(np.random.default_rng([seed, zlib.crc32(label.encode())]))
                rows[table.key].append({**world, **rates})
                bar.advance(1, note=table.key)
    return rows
