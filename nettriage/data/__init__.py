"""Data that the program carries: the bundled demo capture."""
