"""What `benchmark.errors` is made of: which examples arms get wrong, and what kind of error each may be.

arms             which runs are meant
outcomes         what each arm made of each example: right, wrong, or its seeds disagree
raw_examples     the questions and contexts, from the raw files
context_text     words, sentences and excerpts of a context
rules            the heuristics behind the paper's three categories
analysis         all of it together, and its counts
error_document   what the command shows and writes
error_request    from the command line to the analysis
"""
