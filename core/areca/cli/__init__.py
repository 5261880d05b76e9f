"""The command line. Each verb is a module of this package, imported when it is asked for; `app` is their group.

A verb's module holds a function of the verb's name (``list_`` for ``list``) whose parameters typer reads, or a
`typer.Typer` of that name where the verb has verbs of its own. Nothing else is here, because a submodule called
``list`` hides the builtin here.
"""

from __future__ import annotations


def main() -> None:
    """Run the command line on ``sys.argv`` and exit with its code.

    The code is 1 after an error, 2 after a command that cannot be understood, 130 after Ctrl-C, 141 where the reader of
    a pipe has left, 143 after SIGTERM.
    """
    import sys

    from areca.fitting.interrupt import Interrupted, raise_on_signal

    try:
        with raise_on_signal():
            from areca.cli.app import app
            from areca.cli.reporting import open_output, reported

            open_output()
            with reported():  # the help is printed before a verb is invoked
                app(prog_name="areca")
    except Interrupted as e:  # before or behind the verb's own work
        sys.exit(e.code)
