"""The order in which the artifacts of a run are made, and what they cost."""
