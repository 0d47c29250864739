"""A paper's table held against results: matching, the gate, claims, and what comes out."""
