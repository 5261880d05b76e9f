"""The rows of a manifest: columns, lines, paths and checks. `areca.manifest` is the door."""
