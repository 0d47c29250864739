"""The whole report: one file that loads nothing, runs no script, and holds the same content in light and
dark, wide and narrow.
"""

from __future__ import annotations

from benchmark.rendering.document import cell_of, plain_text
from benchmark.reporting.charts import chart_page
from benchmark.reporting.claims import claims_section
from benchmark.reporting.deviation import deviation_section
from benchmark.reporting.masks import mask_section
from benchmark.reporting.overview import overview_section
from benchmark.reporting.provenance import provenance_section
from benchmark.reporting.report_data import ReportData
from benchmark.reporting.tables import READING, number_text, table_section
from benchmark.reporting.training import training_section


def report_page(data: ReportData, command: str) -> str:
    """The report as HTML; `command` made it."""
    seeds = "all seeds" if data.seeds is None else f"seeds {', '.join(map(str, data.seeds))}"
    charts = (mask_section(data.runs), deviation_section(data.runs), training_section(data.curves))
    contents = [
        ("overview", "Overview", []),
        ("claims", "Claims", []),
        ("tables", "Tables", [(f"table-{table.key}", table.name) for table in data.tables]),
        *((one.key, one.heading, [(part.key, part.heading) for part in one.parts]) for one in charts),
        (
            "provenance",
            "Provenance",
            [("runs", "Runs"), ("environment", "Environment"), ("commands", "Commands")],
        ),
    ]
    return chart_page(
        "report.html.j2",
        title=f"Reproducibility report, profile {data.profile}",
        heading="Reproducibility report",
        about=(data.paper.title, f"profile {data.profile} · {seeds} · results in {data.source}"),
        contents=contents,
        made_by=command,
        overview=overview_section(data),
        claims=claims_section(data),
        tables_reading=READING,
        cell_of=cell_of,
        plain=plain_text,
        number_text=number_text,
        tables=[table_section(table) for table in data.tables],
        chart_sections=charts,
        provenance=provenance_section(data, command),
    )
