"""Scanners recognised by the bytes of their probes: one file a family."""
