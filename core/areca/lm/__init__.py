"""The language model: one vocabulary of text and audio, and a text LM that reads and writes it."""
