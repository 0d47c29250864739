"""The rules of `benchmark.audit`: a paper's printed numbers and sentences against each other. Each rule knows only the
documented schema.

printed_numbers   what a printed number can have been before it was rounded
findings          severities, checks, and what was found
within_table      one table: averages, percentages, bounds, EM at most F1, scores that fall with K
arrows            one table: gains printed beside averages
outlying_cells    one table: cells that neither row nor column explains
across_tables     rows of several tables: printed twice, equal under another label
prose             sentences: stated sizes and directions, numbers they quote, gains that mix backbones
backbones         whether two rows have the same one, as far as their labels say
audit             all of them, one after the other
audit_document    what the command shows
"""
