"""2,048 levels on memristors that fluctuate: one cell, whole arrays, what limits them, and reads that are noisy."""
