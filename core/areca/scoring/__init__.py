"""How an answer is compared with its reference: normalisers of text, metrics."""
