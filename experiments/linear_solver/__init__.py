"""Poisson's equation on arrays: what residual programming and digital refinement make of imprecise devices."""
