"""The captures with truth files: what must be seen is seen, and ordinary traffic stays quiet."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.captures.truth import LOUD, SHARED, Promise, captures, involved, promises, records

pytestmark = pytest.mark.skipif(
    not SHARED.is_dir(), reason=f"the shared captures are not beside this checkout: {SHARED}"
)
PROMISES = [promise for path in captures() for promise in promises(path)]


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: f"{promise.capture}: {promise.what}")
def test_what_must_be_seen_is_seen(promise: Promise) -> None:
    """Every event that a truth file calls obvious is an incident of the right kind, by the right host, and loud."""
    seen = [record for record in records(SHARED / f"{promise.capture}.pcap")[:-1] if record["kind"] in promise.kinds]
    subjects = {record["subject"]["ip"]: record["severity"] for record in seen}

    assert promise.subjects & subjects.keys(), f"{sorted(promise.kinds)} only by {subjects}"
    assert all(subjects[one] in LOUD for one in promise.subjects & subjects.keys())


@pytest.mark.parametrize("path", captures(), ids=lambda path: path.stem)
def test_hosts_that_did_nothing_stay_quiet(path: Path) -> None:
    """Nothing of medium or above is said of a host that no malicious event names."""
    loud = [record for record in records(path)[:-1] if record["severity"] in LOUD]
    wrong = [record for record in loud if record["subject"]["ip"] not in involved(path) | {"0.0.0.0"}]

    assert [f"{record['kind']} {record['subject']['ip']}: {record['reason']}" for record in wrong] == []


@pytest.mark.parametrize("path", captures(), ids=lambda path: path.stem)
def test_every_packet_is_accounted_for(path: Path) -> None:
    """The summary is the last record, and every packet of the file was received and none shed."""
    summary = records(path)[-1]

    assert summary["kind"] == "summary"
    assert summary["packets"] == summary["capture_health"]["received"] > 0
    assert summary["capture_health"]["shed"] == 0
