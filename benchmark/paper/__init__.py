"""The paper as data: its tables, claims and quotes, and their reader."""
