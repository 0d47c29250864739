"""The report of `python -m benchmark.report`: one HTML file that loads nothing. No torch, no MLflow, no
plotting library.

report_data                what the page shows, read once: every table compared, the runs, their curves
evidence, curves           the fields and files beyond scores
report_page                the whole page, in the order: overview, claims, tables, masks, deviation, training,
                           provenance; each gives its template (`templates/`) values or `ChartSection`s
strips, plots, heat_maps   drawings, as SVG whose x is in percent and whose y is in pixels: a phone gets them
                           narrower, not smaller
charts                     what surrounds a drawing: caption, legend, the same data as a table
svg, scales, chart_colours elements, places, colours
"""
