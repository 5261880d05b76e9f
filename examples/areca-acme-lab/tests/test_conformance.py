"""Run areca's conformance kit on this plugin: ``pytest``."""

from areca.testing import Check, CheckedComponent


def test_conformance(areca_component: CheckedComponent, areca_check: Check) -> None:
    areca_check(areca_component)
