"""Reads values out of one TOML table by type; every mistake becomes a sentence that names its key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

Choice = TypeVar("Choice", bound=str)
KEY = re.compile(r"[a-z][a-z0-9_]{0,59}")
SIZE = re.compile(r"(\d+) ?(KB|MB|GB|TB)")
POWERS = {"KB": 1, "MB": 2, "GB": 3, "TB": 4}


class Table:
    """One table of the file. A bad or missing value gives the fallback, so that reading finds the rest."""

    def __init__(self, values: dict[str, Any], *, path: str, problems: list[str]) -> None:
        self.values = values
        self.path = path
        self.problems = problems
        self._asked: set[str] = set()

    def complain(self, key: str, sentence: str) -> None:
        self.problems.append(f"{self.name(key)}: {sentence}")

    def name(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path and key else self.path or key

    def get(self, key: str) -> Any:
        self._asked.add(key)
        return self.values.get(key)

    def text(self, key: str, fallback: str | None = None) -> str:
        """Words. Without a fallback they must be there."""
        value = self.get(key)
        if value is None:
            if fallback is None:
                self.complain(key, "is missing; write some words")
            return fallback or ""
        if not isinstance(value, str) or not value.strip():
            self.complain(key, f"must be words in quotes, got {shown(value)}")
            return fallback or ""
        return value.strip()

    def texts(self, key: str) -> list[str]:
        value = self.get(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(text, str) and text.strip() for text in value):
            self.complain(key, f"must be a list of words in quotes, got {shown(value)}")
            return []
        for text in {text for text in value if value.count(text) > 1}:
            self.complain(key, f"names {text!r} twice")
        return list(dict.fromkeys(value))

    def flag(self, key: str) -> bool:
        value = self.get(key)
        if value is None:
            return False
        if not isinstance(value, bool):
            self.complain(key, f"must be true or false, got {shown(value)}")
            return False
        return value

    def whole(
        self, key: str, *, fallback: int | None = None, low: int = 0, high: int = 2**53, unit: str = "number"
    ) -> int:
        """A whole number from `low` to `high`. Without a fallback it must be there."""
        value = self.get(key)
        if value is None:
            if fallback is None:
                self.complain(key, f"is missing; write whole {unit.removesuffix('s')}s")
            return low if fallback is None else fallback
        if isinstance(value, bool) or not isinstance(value, int):
            article = "" if unit.endswith("s") else "a "
            self.complain(key, f"must be {article}whole {unit}, got {shown(value)}")
            return low
        if not low <= value <= high:
            self.complain(key, f"must be from {low} to {high}, got {value}")
            return low
        return value

    def whole_or_unlimited(self, key: str, *, is_bytes: bool = False) -> int | None:
        """A whole number from 0, or the word "unlimited" (None); sizes in bytes may be written "10 GB"."""
        value = self.get(key)
        if value == "unlimited":
            return None
        if is_bytes and isinstance(value, str) and (size := SIZE.fullmatch(value)):
            return int(size[1]) * int(1024 ** POWERS[size[2]])
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            sizes = ', a size such as "10 GB"' if is_bytes else ""
            self.complain(key, f'must be a whole number from 0{sizes} or "unlimited", got {shown(value)}')
            return 0
        return value

    def choice(self, key: str, options: Sequence[Choice], fallback: Choice | None = None) -> Choice | None:
        """One of a few words; None when it is missing or something else (and complained about)."""
        value = self.get(key)
        if value is None:
            if fallback is None:
                self.complain(key, f"is missing; write one of {listed(options)}")
            return fallback
        for option in options:
            if value == option:
                return option
        self.complain(key, f"must be one of {listed(options)}, got {shown(value)}{meant(value, options)}")
        return fallback

    def table(self, key: str) -> Table:
        """A table inside this one; an absent one reads as empty."""
        value = self.get(key)
        if value is not None and not isinstance(value, dict):
            self.complain(key, f"must be a table, got {shown(value)}")
        return Table(value if isinstance(value, dict) else {}, path=self.name(key), problems=self.problems)

    def tables(self, key: str) -> list[Table]:
        """An array of tables ([[…]])."""
        value = self.get(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            self.complain(key, f"must be written as [[{self.name(key)}]] tables, got {shown(value)}")
            return []
        return [
            Table(entry, path=f"{self.name(key)}[{number}]", problems=self.problems)
            for number, entry in enumerate(value)
        ]

    def entries(self) -> list[str]:
        """The keys of a table whose keys are names the founder chose."""
        self._asked.update(self.values)
        for key in self.values:
            if not KEY.fullmatch(key):
                self.complain(
                    key, "must be lower-case letters, digits and _, beginning with a letter, 60 at most"
                )
        return list(self.values)

    def finish(self) -> None:
        """Refuse what nobody asked for: a misspelt key would otherwise be a silent default."""
        for key in self.values:
            if key not in self._asked:
                self.complain(
                    key, f"is not a key this table knows{meant(key, self._asked - set(self.values))}"
                )


def meant(value: object, options: Iterable[str]) -> str:
    """`; did you mean "month"?` when something is near, else nothing."""
    near = get_close_matches(value, list(options), n=1, cutoff=0.6) if isinstance(value, str) else []
    return f'; did you mean "{near[0]}"?' if near else ""


def listed(options: Iterable[str]) -> str:
    return ", ".join(f'"{option}"' for option in options)


def shown(value: object) -> str:
    """A value as the file has it, shortened."""
    if isinstance(value, bool):
        return str(value).lower()
    text = f'"{value}"' if isinstance(value, str) else "nothing" if value is None else str(value)
    return text if len(text) <= 60 else text[:59] + "…"
