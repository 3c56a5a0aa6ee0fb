"""Training: a loop that knows no method, the steps it repeats, and what it writes down."""
