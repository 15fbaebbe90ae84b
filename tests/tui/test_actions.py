"""The one action table: bound, handled, helped."""

from collections import Counter

from textual.app import App

from tui.actions import ACTIONS, by_group, footer, key_name
from tui.app import NettriageApp
from tui.controls import ControlledScreen
from tui.dialogs import help_lines
from tui.lines import text_of


def test_every_action_has_a_handler_where_it_is_bound() -> None:
    """The app's actions are methods of the app, all others of the screen."""
    for action in ACTIONS:
        owner: type[object] = NettriageApp if action.of_app else ControlledScreen

        assert callable(getattr(owner, f"action_{action.id}", None)), action.id


def test_every_key_is_bound_once() -> None:
    """No key has two meanings on a screen."""
    keys = Counter(key for action in ACTIONS for key in action.keys)

    assert [key for key, times in keys.items() if times > 1] == []


def test_bindings_are_the_table_and_nothing_else() -> None:
    """What the screen and the app bind is what the table says."""
    bound = {binding.key: binding.action for owner in (ControlledScreen, NettriageApp) for binding in owner.BINDINGS}  # type: ignore[union-attr]

    assert bound == {",".join(action.keys): action.id for action in ACTIONS}


def test_every_key_is_in_the_help() -> None:
    """The help has every key and every explanation of the table."""
    text = "\n".join(map(text_of, help_lines(100)))

    for action in ACTIONS:
        assert action.help in text
        for key in action.keys:
            assert key_name(key) in text


def test_the_help_fits_its_box_and_so_do_the_labels() -> None:
    """No line of the help is cut at 80 columns, and labels are one or two words."""
    assert max(len(text_of(row)) for row in help_lines(74)) <= 74
    assert all(len(action.label.split()) <= 2 for action in ACTIONS)


def test_no_key_is_one_that_terminals_eat() -> None:
    """Keys that legacy terminals or tmux alias are not used."""
    eaten = {"ctrl+i", "ctrl+m", "ctrl+h", "ctrl+left_square_bracket", "ctrl+enter", "ctrl+b", "ctrl+a", "f10", "f11"}

    assert not eaten & {key for action in ACTIONS for key in action.keys}


def test_only_leaving_works_while_typing() -> None:
    """A letter typed into the filter is a letter."""
    assert [action.id for action in ACTIONS if action.priority] == ["quit"]
    assert issubclass(NettriageApp, App)


def test_footers_hold_ten_keys_at_most() -> None:
    """More would not be read."""
    contexts = {name for action in ACTIONS for name in action.shown_in}

    assert all(0 < len(footer(context)) <= 10 for context in contexts)
    assert sum(len(actions) for actions in by_group().values()) == len(ACTIONS)
