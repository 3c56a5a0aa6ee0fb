"""Detectors: what scores, the abstract class that fits besides, and the final ones built on it."""
