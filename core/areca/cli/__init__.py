"""The command line. Each verb is a module of this package, imported when the verb is run; `app` is their group.

The module of a verb holds a function with the verb's name (``list_`` for ``list``), whose parameters typer reads. For a
verb with subcommands it holds a `typer.Typer` with that name. This file has little code because the submodule ``list``
hides the builtin in it.
"""

from __future__ import annotations


def main() -> None:
    """Run the command line on ``sys.argv`` and exit with its code.

    The code is 1 after an error, 2 after an invalid command line, 130 after Ctrl-C, 141 when the reader of a pipe has
    closed it, 143 after SIGTERM.
    """
    import sys

    from areca.fitting.interrupt import Interrupted, raise_on_signal

    try:
        with raise_on_signal():
            from areca.cli.app import app
            from areca.cli.reporting import open_output, report_errors

            open_output()
            with report_errors():  # the help is printed before a verb is invoked
                app(prog_name="areca")
    except Interrupted as e:  # before or after the verb's own work
        sys.exit(e.code)
