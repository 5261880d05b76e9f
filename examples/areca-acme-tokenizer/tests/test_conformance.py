"""Run areca's conformance kit on this plugin: ``pytest``."""

from areca.testing import Check, Subject


def test_conformance(areca_subject: Subject, areca_check: Check) -> None:
    areca_check(areca_subject)
