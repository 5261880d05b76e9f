"""Discover plugins, index their components, and resolve the parts of a run."""
