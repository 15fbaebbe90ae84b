"""The ledger of scan detectors."""

from dataclasses import replace

import numpy as np
import pytest

from detectors._kit.ledger import Burst, Ledger, LedgerPlan
from detectors._kit.scancontacts import ScanContacts
from detectors._kit.sequential import Clock
from nettriage.model.batch import V4_PREFIX
from nettriage.model.slices import Outcome

S = 1_000_000_000
PLAN = LedgerPlan(
    name="test", rows=64, incidents=4, cells=100, fast=Clock(600.0, 9.21), slow=Clock(86_400.0, 11.51), floor=7
)  # fmt: skip


def contacts(rows):
    """Return scan contacts of (source, port, outcome), a second apart."""
    n = len(rows)
    src, port, outcome = (np.array([row[at] for row in rows]) for at in range(3))
    failed = np.isin(outcome, (Outcome.CLOSED, Outcome.BLOCKED, Outcome.SILENT))
    ts_ns = np.arange(1, n + 1) * S
    zero = np.zeros(n, np.uint64)
    return ScanContacts(
        ts_ns, outcome.astype(np.uint8), failed, np.where(failed, 1_386_000, -1_386_000),
        src.astype(np.uint64), zero + np.uint64(9), zero, src.astype(np.uint64) | np.uint64(V4_PREFIX),
        zero, zero + np.uint64(V4_PREFIX | 9), np.full(n, 6, np.uint16), port.astype(np.uint16),
        np.full(n, -1, np.int32), ts_ns - S, ~failed,
        np.ones(n, np.uint16),
    )  # fmt: skip


def part(whole, start, stop):
    """Return some rows of scan contacts."""
    return ScanContacts(*(getattr(whole, name)[start:stop] for name in whole.__dataclass_fields__))


def push(ledger, whole, cut=None, burst=None):
    """Push scan contacts in slices of `cut`."""
    size = cut or max(len(whole), 1)
    for at in range(0, len(whole), size):
        some = part(whole, at, at + size)
        count = None if burst is None else Burst(np.full(len(some), burst), np.full(len(some), 60 * S))
        ledger.add(some.src_key, some, some.weight, count)


def scan(count, outcome=Outcome.CLOSED, source=1, start=0):
    """Return contacts of one source with many ports."""
    return [(source, 1000 + start + at, outcome) for at in range(count)]


def test_seven_failures_open_an_incident():
    """Six refusals are nothing; the seventh opens an incident that holds all seven."""
    quiet, loud = Ledger(PLAN), Ledger(PLAN)
    push(quiet, contacts(scan(6)))
    push(loud, contacts(scan(7)))

    assert list(quiet.book) == []
    assert [incident.results.ports() for incident in loud.book] == [list(range(1000, 1007))]


@pytest.mark.parametrize("cut", [1, 3, 7, 64])
def test_cuts_change_no_incident(cut):
    """However the contacts are cut, incidents list the same contacts, with the same peak."""
    random = np.random.default_rng(5)
    rows = [
        (
            int(random.integers(1, 4)),
            at,
            random.choice([Outcome.CLOSED, Outcome.SILENT, Outcome.OPEN], p=[0.6, 0.2, 0.2]),
        )
        for at in range(200)
    ]
    whole, parts = Ledger(PLAN), Ledger(PLAN)
    push(whole, contacts(rows))
    push(parts, contacts(rows), cut)
    facts = [
        [
            (item.key, item.alarm_ns, item.first_ns, item.last_ns, item.peak, item.results.cells.tolist())
            for item in book
        ]
        for book in (whole.book, parts.book)
    ]

    assert len(facts[0]) == 3
    assert facts[0] == facts[1]


def test_repeats_are_no_new_targets():
    """A contact that comes again after its table forgot it is no new failing target."""
    ledger = Ledger(PLAN)
    push(ledger, contacts([(1, 1000 + at % 5, Outcome.CLOSED) for at in range(30)]), cut=5)

    assert list(ledger.book) == []


def test_burst_opens_whatever_the_outcome():
    """Ten answered contacts in a minute open an incident where a burst of ten is asked for."""
    ledger = Ledger(PLAN)
    push(ledger, contacts(scan(12, Outcome.OPEN)), cut=5, burst=10)

    assert [(incident.clock, len(incident.results.cells)) for incident in ledger.book] == [(None, 12)]


def test_quiet_incident_ends_and_frees_its_row():
    """After half an hour without contacts the incident is gone, and the source starts from nothing."""
    ledger = Ledger(PLAN)
    push(ledger, contacts(scan(8)))
    ledger.settle(2_000 * S)

    assert list(ledger.book) == []
    assert ledger.gauges()["rows"].used == 0


def test_book_gives_up_the_quietest():
    """A full book gives way to a new incident, and counts what it gave up."""
    ledger = Ledger(PLAN)
    for source in range(1, 7):
        push(ledger, contacts(scan(8, source=source)))

    assert len(list(ledger.book)) == 4
    assert ledger.gauges()["incidents"].evicted == 2


def test_matrix_is_bounded():
    """Contacts beyond the cap are counted but not listed."""
    ledger = Ledger(PLAN)
    push(ledger, contacts(scan(150)))
    results = next(iter(ledger.book)).results

    assert len(results.cells) == 100
    assert results.left_out == 50
    assert results.count(Outcome.CLOSED) == 150


def test_row_given_to_another_key_walks_from_zero():
    """What a source did leaves nothing in its row for the next: neither a walk, nor contacts, nor failures."""
    ledger = Ledger(replace(PLAN, rows=8))
    push(ledger, contacts([(source, 1000 + at, Outcome.CLOSED) for source in range(1, 9) for at in range(6)]))
    push(ledger, contacts([*scan(3, Outcome.OPEN, source=20), *scan(7, source=20, start=3)]))
    (incident,) = ledger.book

    assert ledger.gauges()["rows"].evicted == 1
    assert incident.results.ports() == list(range(1000, 1010))
    assert incident.peak == pytest.approx(7 * 1.386, rel=0.01)


def test_first_failure_starts_the_walk_but_not_the_list():
    """Answers before the first failure move no walk, and are listed with the incident all the same."""
    ledger = Ledger(PLAN)
    push(ledger, contacts([*scan(3, Outcome.OPEN), *scan(7, start=3)]))
    (incident,) = ledger.book

    assert incident.results.count(Outcome.OPEN) == 3
    assert incident.peak == pytest.approx(7 * 1.386, rel=0.01)
