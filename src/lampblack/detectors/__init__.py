"""Detectors: one abstract class and the final ones built on it."""
