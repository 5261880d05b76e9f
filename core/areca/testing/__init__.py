"""The conformance kit: what every component of a kind must do, as functions that a plugin runs on itself.

``areca check NAME`` runs it, and so does pytest, for which `areca.testing.plugin` gives a test the arguments
``areca_component`` and ``areca_check``::

    def test_conformance(areca_component: CheckedComponent, areca_check: Check) -> None:
        areca_check(areca_component)
"""

from areca.testing.checked import CheckedComponent, Skipped
from areca.testing.checks import Check, Outcome, checks_for, run

__all__ = ["Check", "Outcome", "Skipped", "CheckedComponent", "checks_for", "run"]
