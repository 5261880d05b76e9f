"""Rows of a manifest: columns, lines, paths and checks. `areca.manifest` exports what plugins use."""
