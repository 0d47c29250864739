"""Tuning under masks: the loop and what it needs (eq. 14-16)."""
