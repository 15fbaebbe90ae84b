"""The scan by a database server, beyond what its examples say."""

import pytest

from detectors._kit import forge
from detectors._kit.database_servers import networked_sql
from nettriage.model.addresses import to_text
from tests.detectors.driver import detector, run_frames

SERVER, CLIENT, ATTACKER = "10.0.1.20", "10.0.0.7", "10.0.0.5"


def served(port=5432):
    """Return a server that a client used."""
    return forge.Scene().session(CLIENT, SERVER, port)


def failing(scene, ports, *, driver=None, turns=((0, b"Q\0select 1\0"),)):
    """Let the server fail at ports, driven by a session of `driver`."""
    if driver:
        scene.session(driver, SERVER, 5432, turns=turns, close=False)
    for port in ports:
        scene.refused(SERVER, "10.0.2.9", port)
    return scene.frames()


@pytest.mark.parametrize(("count", "fires"), [(4, False), (5, True)])
def test_five_failing_services_are_enough_for_a_database_server(count, fires):
    """Four refusals are nothing, five are a scan."""
    run = run_frames(failing(served(), range(100, 100 + count)), detector("database-scan"))

    assert bool(run.findings) is fires


@pytest.mark.parametrize("port", [1433, 1521, 3306, 5432])
def test_every_database_counts(port):
    """The four servers that can open connections by SQL are watched."""
    assert run_frames(failing(served(port), range(100, 110)), detector("database-scan")).findings


def test_host_that_serves_no_database_is_left_to_other_detectors():
    """The same scan by a web server is no database scan."""
    assert run_frames(failing(served(80), range(100, 130)), detector("database-scan")).findings == []


def test_what_it_did_before_it_was_known_does_not_count():
    """Failures before the first answer to a client are not held against the server."""
    scene = forge.Scene()
    failing(scene, range(100, 130))
    scene.session(CLIENT, SERVER, 5432)

    assert run_frames(scene.frames(), detector("database-scan")).findings == []


def test_session_with_networked_sql_is_the_driver_among_others():
    """Of two clients the one whose SQL reaches out is named, with the SQL."""
    sql = ((0, b"Q\0\0\0\0COPY t FROM PROGRAM 'id'\0"),)
    scene = served().session("10.0.0.8", SERVER, 5432, close=False)
    (finding,) = run_frames(
        failing(scene, range(100, 110), driver=ATTACKER, turns=sql), detector("database-scan")
    ).findings

    assert [to_text(*end.addr) for end in finding.via] == [ATTACKER]
    assert "COPY FROM PROGRAM" in finding.reason
    assert finding.score >= 65


def test_without_a_session_the_finding_says_so():
    """A server that scans on its own has no client to blame."""
    scene = served().wait(600 * forge.S)
    (finding,) = run_frames(failing(scene, range(100, 110)), detector("database-scan")).findings

    assert finding.via == []
    assert "No session" in finding.reason


@pytest.mark.parametrize(
    ("payload", "name"),
    [
        (b"select * from DBLINK('host=a','select 1')", "dblink"),
        ("EXEC xp_cmdshell 'ping a'".encode("utf-16-le"), "xp_cmdshell"),
        (b"CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw", "postgres_fdw"),
        (b"select utl_http.request('http://10.0.0.1:22/') from dual", "UTL_TCP, UTL_HTTP or UTL_INADDR"),
        (b"select * from orders", ""),
        (b"", ""),
    ],
)
def test_sql_that_reaches_out_is_named(payload, name):
    """Functions that open connections are found in any case, and in UTF-16."""
    assert networked_sql(payload)[0] == name


def test_sql_is_made_harmless():
    """Control characters of the wire do not reach the record."""
    assert "\x1b" not in networked_sql(b"select dblink('\x1b[2J')")[1]
