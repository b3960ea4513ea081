"""Beside the calls: rate limits, metrics, the call log, probes."""
