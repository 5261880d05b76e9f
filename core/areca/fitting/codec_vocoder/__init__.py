"""For vocoders that turn units into the codes of a codec, in the voice of a prompt: options, pairs of codes, voices."""
