"""What a setting may be: numbers with a range, switches, words, and lists of networks or domains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from nettriage.model.addresses import PAIR_MARK, AddressPairs, AddressSet
from nettriage.model.errors import nearest

Value = bool | int | float | str | tuple[str, ...]


class Shape(Protocol):
    """The type and range of a setting."""

    @property
    def unit(self) -> str:
        """Unit of the value, empty where it has none."""
        ...

    def check(self, value: object) -> Value:
        """Return `value` as it is kept; raises ValueError that says what it must be."""
        ...

    def parse(self, text: str) -> Value:
        """Return the value that `text` of a command line or the environment means; raises ValueError."""
        ...

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the value."""
        ...


@dataclass(frozen=True, slots=True)
class Number:
    """A number of `unit` from `lo` to `hi`."""

    unit: str
    lo: float
    hi: float
    whole: bool = True
    """Whether only integers are allowed."""

    def check(self, value: object) -> Value:
        """Return the number."""
        if isinstance(value, bool) or not isinstance(value, int if self.whole else (int, float)):
            raise ValueError(f"must be a {'whole ' if self.whole else ''}number of {self.unit}, not {value!r}")
        if not self.lo <= value <= self.hi:
            raise ValueError(f"= {value} {self.unit} is outside {self.lo} to {self.hi}")
        return value

    def parse(self, text: str) -> Value:
        """Return the number that `text` spells."""
        try:
            number = int(text) if self.whole else float(text)
        except ValueError:
            number = text  # type: ignore[assignment]  # check says what it must be
        return self.check(number)

    def schema(self) -> dict[str, Any]:
        """Return type and range."""
        return {"type": "integer" if self.whole else "number", "minimum": self.lo, "maximum": self.hi}


@dataclass(frozen=True, slots=True)
class Switch:
    """True or false."""

    unit: str = ""

    def check(self, value: object) -> Value:
        """Return the boolean."""
        if not isinstance(value, bool):
            raise ValueError(f"must be true or false, not {value!r}")
        return value

    def parse(self, text: str) -> Value:
        """Return the boolean that `text` spells."""
        spelled = {
            "true": True,
            "yes": True,
            "on": True,
            "1": True,
            "false": False,
            "no": False,
            "off": False,
            "0": False,
        }
        return self.check(spelled.get(text.lower(), text))

    def schema(self) -> dict[str, Any]:
        """Return the boolean type."""
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Text:
    """One line of text, one of `choices` where there are any."""

    choices: tuple[str, ...] = ()
    unit: str = ""

    def check(self, value: object) -> Value:
        """Return the text."""
        if not isinstance(value, str) or not (value.isprintable() or value == ""):
            raise ValueError(f"must be one line of text, not {value!r}")
        if self.choices and value not in self.choices:
            raise ValueError(f"must be one of {', '.join(self.choices)}, not {value!r}{nearest(value, self.choices)}")
        return value

    def parse(self, text: str) -> Value:
        """Return `text` itself."""
        return self.check(text)

    def schema(self) -> dict[str, Any]:
        """Return the string type."""
        return {"type": "string"} | ({"enum": list(self.choices)} if self.choices else {})


@dataclass(frozen=True, slots=True)
class Networks:
    """A list of addresses and CIDR networks."""

    unit: str = ""

    def check(self, value: object) -> Value:
        """Return the texts, each of which is a network."""
        texts = _texts(value, "networks such as 10.0.0.0/8")
        AddressSet(texts)
        return texts

    def parse(self, text: str) -> Value:
        """Return the networks of a comma-separated list."""
        return self.check(_split(text))

    def schema(self) -> dict[str, Any]:
        """Return the list type."""
        return {"type": "array", "items": {"type": "string", "description": "address or CIDR network"}}


@dataclass(frozen=True, slots=True)
class NetworkPairs:
    """A list of pairs of networks."""

    unit: str = ""

    def check(self, value: object) -> Value:
        """Return the texts, each of which is a pair."""
        texts = _texts(value, f"pairs such as 10.0.1.11 {PAIR_MARK} 192.0.2.0/24")
        AddressPairs(texts)
        return texts

    def parse(self, text: str) -> Value:
        """Return the pairs of a comma-separated list."""
        return self.check(_split(text))

    def schema(self) -> dict[str, Any]:
        """Return the list type."""
        return {"type": "array", "items": {"type": "string", "description": f"NETWORK {PAIR_MARK} NETWORK"}}


@dataclass(frozen=True, slots=True)
class Domains:
    """A list of registered domains, kept in lower case without the final dot."""

    unit: str = ""

    def check(self, value: object) -> Value:
        """Return the domains."""
        domains = tuple(text.lower().rstrip(".") for text in _texts(value, "domains such as example.net"))
        for domain in domains:
            if not domain.isascii() or not domain.replace("-", "").replace(".", "").replace("_", "").isalnum():
                raise ValueError(f"{domain!r} is not a domain")
        return domains

    def parse(self, text: str) -> Value:
        """Return the domains of a comma-separated list."""
        return self.check(_split(text))

    def schema(self) -> dict[str, Any]:
        """Return the list type."""
        return {"type": "array", "items": {"type": "string", "description": "registered domain"}}


def _texts(value: object, what: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"must be a list of {what}, not {value!r}")
    return tuple(value)


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
