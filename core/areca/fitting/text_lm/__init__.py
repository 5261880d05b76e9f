"""For backbones that are trained from the recipe's text: options, text tokenizer, pretraining, files."""
