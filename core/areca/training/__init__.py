"""From encoded examples to a trained language model."""
