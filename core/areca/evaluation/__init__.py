"""From a checkpoint and data to scores, tables and a page to listen to."""
