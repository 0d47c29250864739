"""Question answering on MRQA: files, windows, the span model and its adapters, answers, EM and F1."""
