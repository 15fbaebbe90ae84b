"""Recognisers of tunnelling tools: one family a file, each from the bytes of both sides of a young flow."""
