"""What is built once and kept: the store, loaded parts, tokens, checkpoints."""
