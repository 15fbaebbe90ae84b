"""What is installed: the detectors, and the settings that follow from them."""

from __future__ import annotations

from detectors.registry import installed_detectors
from nettriage.settings.catalogue import Catalogue


def catalogue() -> Catalogue:
    """Return every key that the settings of this installation know."""
    return Catalogue({kind: detector.tuning_type for kind, detector in installed_detectors().items()})
