"""Read files within limits, write them atomically, and describe machine errors in one line."""
