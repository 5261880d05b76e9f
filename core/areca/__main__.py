"""``python -m areca`` is the console script ``areca``."""

from areca.cli import main

main()
