"""What the studies share: jobs and their results, data and methods, clocks and meters, tables."""
