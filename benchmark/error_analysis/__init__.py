"""What `benchmark.errors` is made of: which examples arms get wrong, and what kind of error each may be.

arms.py       which runs are meant
cases.py      what each arm made of each example: right, wrong, or its seeds disagree
texts.py      the questions and contexts, from the raw files
wording.py    words and sentences of a context
rules.py      the heuristics behind the paper's three categories
analysis.py   all of it together, and its counts
markdown.py, terminal.py   how it is shown
"""
