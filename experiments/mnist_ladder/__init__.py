"""MNIST on 3-bit ladders."""
