"""Models and tensors of others, loaded as data: never code, never pickles."""
