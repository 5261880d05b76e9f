"""For backbones that are trained on the run's text: options, text tokenizer, pretraining, files."""
