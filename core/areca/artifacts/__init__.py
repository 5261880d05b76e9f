"""Artifacts of a run: the store, the part loader, token tables, checkpoints."""
