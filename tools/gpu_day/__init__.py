"""A quarter of an hour on a GPU: every figure and every path that needs one, in the order of their worth."""
