"""Is it right on the device: every path of the method against the CPU, in float64 where sums are long."""
