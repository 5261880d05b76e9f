"""Answers of a language model, id by id, under the rules of what a task produces."""
