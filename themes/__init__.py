"""Themes as data: one TOML file a theme."""
