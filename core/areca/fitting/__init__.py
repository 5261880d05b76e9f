"""For whoever writes `fit`: resume, interruption."""
