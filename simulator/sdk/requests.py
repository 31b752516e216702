"""Which parameters may a call carry, which must it, and which of those given does Stripe not know or not take?"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from simulator.sdk.reader import Type
from simulator.sdk.source import schema


@dataclass(frozen=True)
class ParamTree:
    """The parameters of one call: a class of the SDK's, looked into only where a request goes."""

    key: str


def allowed_params(resource: str, operation: str) -> ParamTree | None:
    """The parameters of an operation by name, such as `("checkout.session", "list_line_items")`.

    None when the SDK has no such operation. `update` and `retrieve` are called so for every resource.
    """
    *folders, noun = resource.split(".")
    module = ".".join(("stripe.params", *folders, f"_{noun}_{operation}_params"))
    name = "".join(word.capitalize() for word in f"{noun}_{operation}_params".split("_"))
    return ParamTree(f"{module}:{name}") if f"{module}:{name}" in schema()["params"] else None


def params_for(method: str, path: str) -> ParamTree | None:
    """The parameters of the call the SDK makes with this method and path; None when it makes none such."""
    for known, pattern, key in _routes():
        if known == method.upper() and pattern.fullmatch(path):
            return ParamTree(key)
    return None


def unknown_param(tree: ParamTree, params: dict[str, Any]) -> str | None:
    """The first parameter Stripe would refuse, spelled as it spells it (`items[0][prise]`), or None.

    `params` is the decoded form: nested dicts and lists of strings.
    """
    return _first_unknown([["ref", tree.key]], params, "")


def missing_param(tree: ParamTree, params: dict[str, Any]) -> str | None:
    """The first required parameter that is absent, nested ones where their parent is given, or None."""
    return _first_missing([["ref", tree.key]], params, "")


@dataclass(frozen=True)
class Wrong:
    """A parameter whose value is not of its kind, in Stripe's words."""

    param: str
    message: str
    code: str | None = None


def wrong_param(tree: ParamTree, params: dict[str, Any]) -> Wrong | None:
    """The first parameter whose value is no number, no switch, none of the words allowed, or of another shape.

    An empty text means "clear this" and is wrong where nothing can be cleared
    (docs.stripe.com/error-codes#parameter-invalid-empty); texts may always be empty.
    """
    return _first_wrong([["ref", tree.key]], params, "")


@functools.cache
def _routes() -> list[tuple[str, re.Pattern[str], str]]:
    # Fixed words before placeholders: /v1/customers/search is not a customer called "search".
    ordered = sorted(schema()["routes"], key=lambda route: (route[1].count("{"), route[1]))
    return [(method, re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), key) for method, path, key in ordered]


def _first_unknown(kinds: list[Type], value: Any, path: str) -> str | None:
    if isinstance(value, dict):
        known = _keys(kinds)
        if known is None:
            return None
        for name, inner in value.items():
            here = f"{path}[{name}]" if path else name
            if name not in known:
                return here
            if found := _first_unknown(_flatten(known[name][1]), inner, here):
                return found
    elif isinstance(value, list):
        items = [kind for outer in kinds if outer[0] == "list" for kind in _flatten(outer[1])]
        for index, inner in enumerate(value):
            if found := _first_unknown(items, inner, f"{path}[{index}]"):
                return found
    return None


def _first_missing(kinds: list[Type], value: Any, path: str) -> str | None:
    if isinstance(value, dict):
        known = _keys(kinds)
        for name, (required, inner) in (known or {}).items():
            here = f"{path}[{name}]" if path else name
            if name not in value:
                if required:
                    return here
            elif found := _first_missing(_flatten(inner), value[name], here):
                return found
    elif isinstance(value, list):
        items = [kind for outer in kinds if outer[0] == "list" for kind in _flatten(outer[1])]
        for index, inner in enumerate(value):
            if found := _first_missing(items, inner, f"{path}[{index}]"):
                return found
    return None


def _first_wrong(kinds: list[Type], value: Any, path: str) -> Wrong | None:
    if isinstance(value, str):
        return _wrong_word(kinds, value, path)
    heads = {kind[0] for kind in kinds}
    if heads & {"any", "map"}:
        return None
    if isinstance(value, list):
        if "list" not in heads:
            return Wrong(path, "Invalid hash" if "ref" in heads else f"Invalid string: {value}")
        items = [kind for outer in kinds if outer[0] == "list" for kind in _flatten(outer[1])]
        found = (_first_wrong(items, inner, f"{path}[{index}]") for index, inner in enumerate(value))
    else:
        if "ref" not in heads:
            return Wrong(path, "Invalid array" if "list" in heads else f"Invalid string: {value}")
        known = _keys(kinds) or {}
        found = (
            _first_wrong(_flatten(known[name][1]), inner, f"{path}[{name}]" if path else name)
            for name, inner in value.items()
            if name in known
        )
    return next((wrong for wrong in found if wrong is not None), None)


def _wrong_word(kinds: list[Type], word: str, path: str) -> Wrong | None:
    words: list[str] = [allowed for kind in kinds if kind[0] == "enum" for allowed in kind[1]]
    # `Union[Literal[…], str]` is an enumeration that may grow; `Union[Literal[""], str]` a text that can be cleared.
    heads = {kind[0] for kind in kinds if not (kind[0] == "str" and any(words))}
    if word in words or heads & _ANY_WORD or any(_is_one(head, word) for head in heads):
        return None
    if word == "":
        message = (
            f"You passed an empty string for '{path}'. We assume empty values are an attempt to unset a parameter; "
            f"however '{path}' cannot be unset. You should remove '{path}' from your request or supply a non-empty "
            "value."
        )
        return Wrong(path, message, "parameter_invalid_empty")
    if "int" in heads:
        return Wrong(path, f"Invalid integer: {word}", "parameter_invalid_integer")
    if heads & {"float", "decimal"}:
        return Wrong(path, f"Invalid decimal: {word}")
    if "bool" in heads:
        return Wrong(path, f"Invalid boolean: {word}")
    if any(words):
        *most, last = [allowed for allowed in words if allowed]
        listed = f"{', '.join(most)}{',' if len(most) > 1 else ''} or {last}" if most else last
        return Wrong(path, f"Invalid {path}: must be one of {listed}")
    return Wrong(path, "Invalid array" if "list" in heads else "Invalid hash")


_ANY_WORD = {"any", "map", "str"}


def _is_one(head: str, word: str) -> bool:
    if head == "bool":
        return word in ("true", "false")
    try:
        if head == "int":
            int(word)
        elif head in ("float", "decimal"):
            return Decimal(word).is_finite()
        else:
            return False
    except (ValueError, InvalidOperation):
        return False
    return True


def _keys(kinds: list[Type]) -> dict[str, list[Any]] | None:
    """The named parameters inside, or None where any name goes (metadata) or no dict is described."""
    classes = [
        schema()["params"][kind[1]] for kind in kinds if kind[0] == "ref" and kind[1] in schema()["params"]
    ]
    if not classes or any(kind[0] in ("map", "any") for kind in kinds):
        return None
    merged: dict[str, list[Any]] = {}
    for cls in classes:
        for name, (required, kind) in cls.items():
            before = merged.get(name)
            merged[name] = (
                [required, kind] if before is None else [required and before[0], ["union", [before[1], kind]]]
            )
    return merged


def _flatten(kind: Type) -> list[Type]:
    if kind[0] == "union":
        return [inner for part in kind[1] for inner in _flatten(part)]
    return _flatten(kind[1]) if kind[0] == "opt" else [kind]
