"""The conformance kit: what every component of a kind must do, as functions that a plugin runs on itself.

``areca check NAME`` runs it, and so does pytest, for which `areca.testing.plugin` gives a test the arguments
``areca_subject`` and ``areca_check``::

    def test_conformance(areca_subject: Subject, areca_check: Check) -> None:
        areca_check(areca_subject)
"""

from areca.testing.checks import Check, Outcome, checks_for, run
from areca.testing.subject import Skipped, Subject

__all__ = ["Check", "Outcome", "Skipped", "Subject", "checks_for", "run"]
