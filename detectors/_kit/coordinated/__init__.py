"""Scans by more than one address: decoys, zombies, and sources that share the work."""
