"""What a declared pair of networks does to a finding: it is still said, lowered, with the pair as the reason."""

from __future__ import annotations

from dataclasses import replace

from nettriage.model.finding import Finding

_DECLARED_SCORE = 12.0


def lowered(found: Finding, pair: str) -> Finding:
    """Return the finding, lowered where `pair` (of `Site.allow`) is not empty."""
    if not pair:
        return found
    reason = f"{found.reason.removesuffix('.')}; {pair} is declared under network.allow."
    return replace(found, score=min(found.score, _DECLARED_SCORE), reason=reason)
