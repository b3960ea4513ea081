"""What runs beside the calls: limits, metrics, the call log, probes."""
