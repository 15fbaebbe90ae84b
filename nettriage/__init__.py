"""nettriage: who scans, who relays, and what to do about it, from the packets of a mirror port."""

__version__ = "0.1.0"
