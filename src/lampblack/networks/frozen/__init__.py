"""Frozen networks, trained by others, whose features are reconstructed."""
