"""Measurements: what the README claims, and the commands that regenerate it."""
