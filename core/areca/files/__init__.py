"""Read and write files safely: bounded, whole or not at all, errors of the machine in one line."""
