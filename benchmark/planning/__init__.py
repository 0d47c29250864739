"""What a table of the paper needs, what is there, what the rest would cost, and running it."""
