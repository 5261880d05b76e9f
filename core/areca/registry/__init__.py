"""Find plugins and choose components: discovery, hooks, parts of a run."""
