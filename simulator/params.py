"""A request's parameters with their types: text, whole numbers, switches, hashes and lists, or a 400
that says what is wrong.
"""

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

from simulator.errors import invalid, missing_param


class Params:
    """Nested parameters as Stripe reads them; `""` means "clear this"."""

    def __init__(self, values: dict[str, Any], path: str = "") -> None:
        self.values = values
        self.path = path

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def __iter__(self) -> Iterator[str]:
        return iter(self.values)

    def name(self, name: str) -> str:
        """The parameter's full name, as errors quote it."""
        return f"{self.path}[{name}]" if self.path else name

    def text(self, name: str, default: str | None = None) -> str | None:
        """A string; `None` when absent or cleared."""
        value = self.values.get(name, default)
        if isinstance(value, dict | list):
            raise invalid(f"Invalid string: {value}", param=self.name(name))
        return value if value != "" else None

    def need(self, name: str) -> str:
        """A string that must be there."""
        value = self.text(name)
        if value is None:
            raise missing_param(self.name(name))
        return value

    def integer(self, name: str, default: int | None = None) -> int | None:
        """A whole number; 400 `parameter_invalid_integer` otherwise."""
        value = self.text(name)
        if value is None:
            return default
        try:
            return int(value)
        except ValueError:
            raise invalid(
                f"Invalid integer: {value}", param=self.name(name), code="parameter_invalid_integer"
            ) from None

    def decimal(self, name: str) -> Decimal | None:
        """A decimal number given as text."""
        value = self.text(name)
        if value is None:
            return None
        try:
            return Decimal(value)
        except InvalidOperation:
            raise invalid(f"Invalid decimal: {value}", param=self.name(name)) from None

    def flag(self, name: str, default: bool = False) -> bool:
        """A switch: `true` or `false`."""
        value = self.text(name)
        if value is None:
            return default
        if value not in ("true", "false"):
            raise invalid(f"Invalid boolean: {value}", param=self.name(name))
        return value == "true"

    def choice(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        """One of `allowed`; 400 that lists them otherwise."""
        value = self.text(name) or default
        if value not in allowed:
            raise invalid(
                f"Invalid {self.name(name)}: must be one of {', '.join(allowed)}", param=self.name(name)
            )
        return value

    def inner(self, name: str) -> "Params":
        """A hash as parameters; empty when absent or cleared."""
        value = self.values.get(name)
        if value in (None, "") or value == []:
            return Params({}, self.name(name))
        if not isinstance(value, dict):
            raise invalid("Invalid hash", param=self.name(name))
        return Params(value, self.name(name))

    def each(self, name: str) -> list["Params"]:
        """A list of hashes as parameters; empty when absent or cleared."""
        return [
            Params(value if isinstance(value, dict) else {}, f"{self.name(name)}[{at}]")
            for at, value in enumerate(self.list(name))
        ]

    def list(self, name: str) -> list[Any]:
        """A list of values; empty when absent or cleared."""
        value = self.values.get(name)
        if value in (None, ""):
            return []
        if not isinstance(value, list):
            raise invalid("Invalid array", param=self.name(name))
        return value

    def metadata(self, old: dict[str, str] | None = None) -> dict[str, str]:
        """Metadata after this request: keys merge, an empty value unsets one, an empty whole unsets all."""
        given = self.values.get("metadata")
        if given is None:
            return dict(old or {})
        if given == "":
            return {}
        merged = dict(old or {}) | {key: str(value) for key, value in self.inner("metadata").values.items()}
        return {key: value for key, value in merged.items() if value != ""}
