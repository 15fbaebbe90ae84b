"""Settings come from every place in their order, and errors name file, key and the nearest right thing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from nettriage.model.errors import ConfigError
from nettriage.model.tuning import Tuning, knob
from nettriage.settings import files
from nettriage.settings import load as loading
from nettriage.settings.catalogue import Catalogue
from nettriage.settings.load import load


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanTuning(Tuning):
    ports: int = knob(60, "ports", lo=5, hi=65_535, why="a browser rarely opens 60 ports of one host in a minute")
    window_s: float = knob(60.0, "s", lo=1.0, hi=3_600.0, why="covers the default pace of scanners")


pytestmark = pytest.mark.usefixtures("places")


@pytest.fixture
def catalogue() -> Catalogue:
    """Return the keys with one detector."""
    return Catalogue({"vertical-scan": ScanTuning})


@pytest.fixture
def places(tmp_path, monkeypatch):
    """A system file and a user file of our own, both absent at first."""
    system, user = tmp_path / "system.toml", tmp_path / "user.toml"
    monkeypatch.setattr(loading, "SYSTEM_FILE", system)
    monkeypatch.setattr(loading, "user_file", lambda _environ: user)
    return system, user


def test_every_place_overrides_the_weaker_ones(catalogue, places, tmp_path):
    """Command line beats environment beats --config beats the user's file beats the system's file."""
    system, user = places
    chosen = tmp_path / "chosen.toml"
    system.write_text(
        "[detectors.vertical-scan]\nports = 11\nwindow_s = 11.0\n[capture]\nring_mib = 11\nsnaplen = 111\n"
    )
    user.write_text("[detectors.vertical-scan]\nports = 12\nwindow_s = 12.0\n[capture]\nring_mib = 12\n")
    chosen.write_text("[detectors.vertical-scan]\nports = 13\nwindow_s = 13\n")
    environ = {"NETTRIAGE_DETECTORS_VERTICAL_SCAN_PORTS": "14"}

    settings = load(catalogue, config=chosen, assignments=["detectors.vertical-scan.ports=15"], environ=environ)

    assert settings.tunings["vertical-scan"] == ScanTuning(ports=15, window_s=13)
    assert (settings.capture.ring_mib, settings.capture.snaplen) == (12, 111)
    assert settings.origins["detectors.vertical-scan.ports"] == "--set"
    assert settings.origins["detectors.vertical-scan.window_s"] == f"--config {chosen}"
    assert settings.origins["capture.ring_mib"] == str(user)
    assert settings.origins["capture.filter"] == "default"


def test_environment_beats_files_and_loses_to_options(catalogue, places):
    """A variable overrides a file, an option overrides the variable."""
    places[1].write_text("[screen]\ntheme = 'paper'\n")
    environ = {"NETTRIAGE_SCREEN_THEME": "mono"}

    assert load(catalogue, environ=environ).screen.theme == "mono"
    assert load(catalogue, environ=environ, options={"screen.theme": ("--theme", "night")}).screen.theme == "night"


def test_config_variable_names_a_file(catalogue, tmp_path):
    """NETTRIAGE_CONFIG stands for --config."""
    chosen = tmp_path / "chosen.toml"
    chosen.write_text("[network]\nhome_net = ['198.51.100.0/24']\n")

    settings = load(catalogue, environ={"NETTRIAGE_CONFIG": str(chosen)})

    assert settings.network.home_net == ("198.51.100.0/24",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[captur]\nring_mib = 1", "unknown table 'captur' (did you mean capture?)"),
        ("[capture]\nring_mb = 1", "unknown key 'capture.ring_mb' (did you mean capture.ring_mib?)"),
        ("[detectors.vertical-scn]\nports = 9", "unknown table 'detectors.vertical-scn' (did you mean vertical-scan?)"),
        ("[detectors.vertical-scan]\nport = 9", "did you mean detectors.vertical-scan.ports?"),
        ("[detectors.vertical-scan]\nports = 4", "[detectors.vertical-scan]: ports = 4 ports is outside 5 to 65535"),
        ("[detectors.vertical-scan]\nports = true", "ports must be a whole number of ports, not True"),
        ("[detectors.vertical-scan]\nwindow_s = nan", "window_s = nan s is outside"),
        ("[network]\nhome_net = ['10.0.0.0/33']", "home_net '10.0.0.0/33' is not a network"),
        ("[network]\nhome_net = '10.0.0.0/8'", "home_net must be a list of networks"),
        ("[network]\nallow = ['10.0.0.1']", "allow '10.0.0.1' is not a pair such as 10.0.1.11 <-> 192.0.2.0/24"),
        ("[network]\nallow = ['10.0.0.1 <-> x']", "allow 'x' is not a network"),
        ("[network]\ntunnel_domains = ['a b']", "tunnel_domains 'a b' is not a domain"),
        ("[output]\nmin_severity = 'hihg'", "not 'hihg' (did you mean high?)"),
        ("[screen]\ntheme = \"a\\u001bb\"", "theme must be one line of text"),
        ("[capture]\npromiscuous = 1", "promiscuous must be true or false"),
        ("screen = 1", "screen is a table, write [screen]"),
        ("theme = 'x'", "unknown key 'theme'"),
        ("[screen]\ntheme = x\n", "line 2"),
    ],
)  # fmt: skip
def test_errors_name_file_key_and_the_nearest_right_thing(catalogue, places, text, said):
    """A wrong settings file is refused with the file, the key and the nearest known key."""
    places[1].write_text(text)

    with pytest.raises(ConfigError) as caught:
        load(catalogue, environ={})

    assert str(caught.value).startswith(str(places[1]))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("capture.ring_mib", "write --set key=value"),
        ("capture.ring=8", "did you mean capture.ring_mib?"),
        ("capture.ring_mib=lots", "must be a whole number of MiB, not 'lots'"),
        ("network.home_net=10.0.0.0/8,nonsense", "'nonsense' is not a network"),
        ("capture.promiscuous=perhaps", "must be true or false, not 'perhaps'"),
    ],
)
def test_wrong_assignments_are_explained(catalogue, assignment, said):
    """A wrong --set names the key and what it should be."""
    with pytest.raises(ConfigError, match="--set") as caught:
        load(catalogue, assignments=[assignment], environ={})

    assert said in str(caught.value)


def test_unknown_variables_are_refused_with_the_nearest(catalogue):
    """A misspelt NETTRIAGE_ variable is an error, not silence."""
    with pytest.raises(ConfigError, match=r"NETTRIAGE_SCREEN_THEEM \(did you mean NETTRIAGE_SCREEN_THEME\?\)"):
        load(catalogue, environ={"NETTRIAGE_SCREEN_THEEM": "mono"})


def test_disabled_detectors_have_no_thresholds(catalogue):
    """The key `enabled` takes a detector out of the run."""
    settings = load(catalogue, assignments=["detectors.vertical-scan.enabled=no"], environ={})

    assert settings.tunings == {}


def test_lists_are_comma_separated_in_text(catalogue):
    """A list given as text is cut at commas."""
    settings = load(catalogue, options={"network.home_net": ("--home-net", "10.1.0.0/16, 2001:db8::/32")}, environ={})

    assert settings.network.home_net == ("10.1.0.0/16", "2001:db8::/32")


def test_digest_follows_the_values_and_not_their_origin(catalogue):
    """Equal settings have one digest, wherever they were set; any change makes another."""
    plain = load(catalogue, environ={})
    same = load(catalogue, assignments=["capture.ring_mib=128"], environ={})
    other = load(catalogue, assignments=["detectors.vertical-scan.ports=61"], environ={})

    assert plain.digest == same.digest
    assert plain.digest != other.digest


def test_files_of_strangers_are_not_believed(catalogue, tmp_path):
    """A user file that belongs to somebody else is refused: under sudo it would steer a root process."""
    path = tmp_path / "config.toml"
    path.write_text("[screen]\ntheme = 'mono'\n")

    with pytest.raises(ConfigError, match=f"belongs to user {os.getuid()}"):
        files.read(path, catalogue, frozenset({os.getuid() + 1}))


def test_a_settings_path_that_is_no_file_is_an_error(catalogue, tmp_path):
    """A FIFO in place of the settings is refused instead of waited for."""
    path = tmp_path / "config.toml"
    os.mkfifo(path)

    with pytest.raises(ConfigError, match="not a file"):
        files.read(path, catalogue)


def test_a_missing_chosen_file_is_an_error(catalogue):
    """--config with a file that does not exist is not ignored."""
    with pytest.raises(ConfigError, match=r"absent\.toml: no such file"):
        load(catalogue, config=Path("absent.toml"), environ={})


def test_under_sudo_the_caller_is_the_user(monkeypatch):
    """The file of the person who called sudo is read, not root's."""
    monkeypatch.setattr(files.os, "geteuid", lambda: 0)
    monkeypatch.setattr(files.pwd, "getpwuid", lambda uid: type("Entry", (), {"pw_dir": f"/home/u{uid}"}))

    assert files.invoking_uid({"SUDO_UID": "1234"}) == 1234
    assert files.user_file({"SUDO_UID": "1234"}) == Path("/home/u1234/.config/nettriage/config.toml")


def test_a_home_of_somebody_else_is_not_read(tmp_path, monkeypatch):
    """`sudo setpriv` leaves HOME at root's: the file of the account is read instead."""
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.setattr(files.pwd, "getpwuid", lambda _uid: type("Entry", (), {"pw_dir": "/home/me"}))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)

    monkeypatch.setenv("HOME", str(own))
    assert files.user_file({}) == own / ".config/nettriage/config.toml"
    monkeypatch.setattr(files, "_owner", lambda _path: os.geteuid() + 1)
    assert files.user_file({}) == Path("/home/me/.config/nettriage/config.toml")
