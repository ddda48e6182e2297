"""What is asked: data, start, horizon, and all options of a run."""
