"""A fitted model: its recipe, how it scores, and its folder."""
