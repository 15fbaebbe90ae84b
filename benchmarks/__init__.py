"""Benchmarks of the real hot paths, beside the peers that are installed."""
