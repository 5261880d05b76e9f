"""Load third-party models and tensors as data: never run their code, never unpickle."""
