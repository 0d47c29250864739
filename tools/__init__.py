"""What only renews docs/: performance, calibration, the page of deviations. Not installed."""
