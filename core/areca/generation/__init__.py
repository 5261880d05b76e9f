"""Generation: answers of a language model, under the rules of what a task produces."""
