"""From any file or array to samples: decoders, checks, resampling. `areca.audio` is the door."""
