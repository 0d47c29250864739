"""What commands share: one-line errors, exit statuses, progress, signals, text that is safe to print."""
