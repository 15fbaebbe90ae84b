"""The contract suite: every detector found, shipped or plugged in, against every check."""

from __future__ import annotations

import pytest

from detectors.registry import installed_detectors
from tests.detectors.contract.checks import CHECKS

DETECTORS = installed_detectors()


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("kind", DETECTORS)
def test_detector_keeps_its_contract(kind: str, check: str) -> None:
    """The detector keeps this clause of the contract."""
    CHECKS[check](DETECTORS[kind])
