"""What a YAML means: runs, their options, studies."""
