"""The pages that people write keep up with the program."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest

from docs.generate import DOCS
from nettriage.cli.arguments import VERBS, run_parser
from nettriage.model.alert import Alert
from nettriage.model.errors import ExitCode

ROOT = DOCS.parent
PAGES = [*ROOT.glob("*.md"), *DOCS.glob("*.md")]


def test_every_option_is_documented():
    """docs/cli.md names every option, every verb and every exit code."""
    page = (DOCS / "cli.md").read_text()
    options = {option for action in run_parser()._actions for option in action.option_strings} - {"-h", "--help"}

    assert [option for option in options if f"`{option}" not in page and f", `{option}" not in page] == []
    assert [verb for verb in VERBS if f"nettriage {verb}" not in page] == []
    assert [code for code in ExitCode if f"| {int(code)} |" not in page] == []


def test_every_documented_option_exists():
    """An option that docs/cli.md names is one that the command knows."""
    known = {option for action in run_parser()._actions for option in action.option_strings} | {"--init", "--check"}
    named = set(re.findall(r"`(--[a-z-]+)", (DOCS / "cli.md").read_text()))

    assert named - known == set()


def test_the_alert_of_the_readme_is_an_alert():
    """The shortened record in the README has only keys that an alert record has."""
    block = re.search(r"```json\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    properties = msgspec.json.schema(Alert)["$defs"]["Alert"]["properties"]

    assert block is not None
    assert set(json.loads(block[1])) - set(properties) == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page):
    """A relative link of a page names a file that is there."""
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())

    assert [link for link in links if not (Path(page).parent / link).exists()] == []
