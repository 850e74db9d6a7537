"""The demo over three seeds."""
