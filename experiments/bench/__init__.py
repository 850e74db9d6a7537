"""Benchmarks: ours against what else a user could pick, measured side by side in one process."""
