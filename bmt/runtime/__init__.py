"""What makes runs durable and exact: files, checkpoints, ranks, devices, stops, keyed random numbers."""
