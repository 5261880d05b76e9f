"""The conformance kit: checks that every component of a kind must pass. A plugin runs them on its own components.

``areca check NAME`` runs the checks. pytest runs them too: the pytest plugin `areca.testing.plugin` supplies the
arguments ``areca_component`` and ``areca_check`` of a test::

    def test_conformance(areca_component: CheckedComponent, areca_check: Check) -> None:
        areca_check(areca_component)
"""

from areca.testing.checked import CheckedComponent, Skipped
from areca.testing.checks import Check, Outcome, checks_for, run

__all__ = ["Check", "Outcome", "Skipped", "CheckedComponent", "checks_for", "run"]
