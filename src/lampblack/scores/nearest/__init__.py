"""A network's score beside the distances to remembered normal samples."""
