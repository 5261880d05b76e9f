"""Build the artifacts of a run in order, and estimate their cost."""
