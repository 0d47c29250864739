"""One cell: its training, evaluation and transfer, and the results they write."""
