"""What `tools.performance` measures: ratios inside one run, the variants taking turns so that a slow moment
hits all of them.
"""
