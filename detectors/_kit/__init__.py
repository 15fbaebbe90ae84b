"""What detectors share: sequential tests, distinct counters, windows, and forged traffic for examples."""
