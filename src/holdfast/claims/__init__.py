"""One file per paper: its claim as an experiment that can fail."""
