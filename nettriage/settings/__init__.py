"""The settings: what may be set, where it is set, and what holds."""
