"""The report of `python -m benchmark.report`: one HTML file that loads nothing. No torch, no MLflow, no
plotting library.

gather                     every table compared, the runs' evidence, their curves: read once
evidence, curves           the fields and files beyond scores
page                       the whole page, in the order: overview, claims, tables, masks, deviation, training,
provenance
figure, strips, heat, plots    drawings, as SVG whose x is in percent and whose y is in pixels: a phone gets
them narrower, not smaller
scales, palette, style, markup   places, colours, CSS, escaping
"""
