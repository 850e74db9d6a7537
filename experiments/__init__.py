"""Studies: one folder each, with its claim, its command and the committed result of its full run."""
