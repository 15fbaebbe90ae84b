"""The words that capture, detectors and screens speak to one another."""
