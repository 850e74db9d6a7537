"""Circuits followed in training against circuits solved in every step."""
