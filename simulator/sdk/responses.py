"""Is this object what the SDK expects, and what does an empty one look like?"""

from __future__ import annotations

from functools import cache
from typing import Any

from simulator.sdk.reader import Type
from simulator.sdk.source import schema

Json = dict[str, Any]

# Left out by Stripe unless `expand[]` asks for them (docs.stripe.com/api/expanding_objects, "includable").
INCLUDABLE = {
    "charge": {"refunds"},
    "checkout.session": {"line_items"},
    "coupon": {"applies_to", "currency_options"},
    "customer": {"cash_balance", "invoice_credit_balance", "sources", "subscriptions", "tax", "tax_ids"},
    "invoice": {"payments", "confirmation_secret"},
    "price": {"tiers", "currency_options"},
    "product": {"deleted"},
}


def skeleton(object_name: str) -> Json:
    """An empty object of that kind: optional keys null, lists empty, flags false, nested parts empty in turn.

    Enumerated strings take their first declared value and numbers zero: the caller sets what matters.
    Keys that Stripe shows only when expanded are left out. Raises `KeyError` for
    a name the SDK does not know.
    """
    left_out = INCLUDABLE.get(object_name, set()) | {"deleted"}
    return {
        name: _empty(kind, name, 0)
        for name, kind in _fields(schema()["objects"][object_name]).items()
        if name not in left_out
    }


def problems(obj: Json, *, extras: frozenset[str] = frozenset()) -> list[str]:
    """Every place where `obj` differs from the SDK's annotations, as sentences; empty when there is none.

    Lists and events are looked into; a thin event without `data` is the letter that tells of it. `extras` names keys
    tolerated although undeclared, such as `"subscription.plan"`. Values outside an open enumeration are reported too:
    Stripe would have declared what it sends.
    """
    found: list[str] = []
    _check_object(obj, "$", found, extras)
    return found


def refusal_problems(body: Json) -> list[str]:
    """The same for the body of a refusal: one `error`, of a type Stripe has, with keys it has."""
    error = body.get("error")
    if body.keys() != {"error"} or not isinstance(error, dict):
        return ["$: a refusal is one error"]
    found: list[str] = []
    _check_class(_ERROR, error, "$.error", found, frozenset())
    if error.get("type") not in ERROR_TYPES:
        found.append(f"$.error.type: {error.get('type')!r} is none of {sorted(ERROR_TYPES)}")
    found.extend(f"$.error.{name}: missing" for name in ("message", "type") if not error.get(name))
    return found


# docs.stripe.com/api/errors
ERROR_TYPES = {"api_error", "card_error", "idempotency_error", "invalid_request_error"}
_ERROR = "stripe._error_object:ErrorObject"


@cache
def _fields(key: str) -> dict[str, Type]:
    fields: dict[str, Type] = schema()["fields"].get(key, {})
    if "" in fields:  # What a thin event's class has from the class it is made from.
        inherited = _fields(fields[""][1])
        return inherited | {name: kind for name, kind in fields.items() if name}
    return fields


def _empty(kind: Type, name: str, depth: int) -> Any:
    head = kind[0]
    if name == "metadata":
        return {}
    if head == "union":
        return _empty(kind[1][0], name, depth)
    if head == "enum":
        return kind[1][0]
    if head == "ref":
        return (
            {n: _empty(k, n, depth + 1) for n, k in _fields(kind[1]).items() if n != "deleted"}
            if depth < 6
            else None
        )
    if head == "listobj":
        return {"object": "list", "data": [], "has_more": False, "url": ""}
    if head == "list":
        return []
    if head == "map":
        return {}
    return {"str": "", "expand": "", "int": 0, "float": 0.0, "decimal": "0", "bool": False}.get(head)


def _check_object(obj: Json, path: str, found: list[str], extras: frozenset[str]) -> None:
    name = obj.get("object")
    if name in ("list", "search_result"):
        if not isinstance(obj.get("data"), list) or not isinstance(obj.get("has_more"), bool):
            found.append(f"{path}: a {name} needs data and has_more")
        for index, item in enumerate(obj.get("data") or []):
            if isinstance(item, dict):
                _check_object(item, f"{path}.data[{index}]", found, extras)
        return
    key = schema()["objects"].get(str(name))
    if name == "v2.core.event":
        role = "event" if "data" in obj else "letter"
        key = schema()["thin"].get(str(obj.get("type")), {}).get(role)
    if key is None:
        found.append(f"{path}: no object is called {name!r}")
    elif obj.get("deleted") is True:
        found.extend(f"{path}.{extra}: undeclared on a deleted object" for extra in obj.keys() - _DELETED)
    else:
        _check_class(key, obj, path, found, extras)
        if name == "event":
            _check_object(obj["data"]["object"], f"{path}.data.object", found, extras)


_DELETED = {"id", "object", "deleted"}


def _check_class(key: str, obj: Json, path: str, found: list[str], extras: frozenset[str]) -> None:
    fields = _fields(key)
    found.extend(f"{path}.{name}: missing" for name in _always(key) if name not in obj)
    for name, value in obj.items():
        if name in fields:
            if not _is_plainly_right(fields[name], value):
                _check(fields[name], value, f"{path}.{name}", found, extras)
        elif f"{obj.get('object')}.{name}" not in extras:
            found.append(f"{path}.{name}: undeclared")


@cache
def _always(key: str) -> list[str]:
    """The fields of a class that are never left out."""
    return [
        name
        for name, kind in _fields(key).items()
        if kind[0] not in ("opt", "any") and name not in ("deleted", "last_response")
    ]


def _is_plainly_right(kind: Type, value: Any) -> bool:
    """Most values are plain and as declared: nothing to look into, no path to be put together."""
    if kind[0] == "opt":
        if value is None:
            return True
        kind = kind[1]
    return kind[0] in _PLAIN and value is not None and _is_plain(kind[0], value)


def _check(kind: Type, value: Any, path: str, found: list[str], extras: frozenset[str]) -> None:
    head = kind[0]
    if head == "any":
        return
    if head == "opt":
        if value is not None:
            _check(kind[1], value, path, found, extras)
    elif value is None:
        found.append(f"{path}: null, but never null at Stripe")
    elif head == "list":
        if not isinstance(value, list):
            found.append(f"{path}: wants a list, got {_said(value)}")
            return
        for index, item in enumerate(value):
            _check(kind[1], item, f"{path}[{index}]", found, extras)
    elif head == "enum":
        if value not in kind[1]:
            found.append(f"{path}: {value!r} is none of {kind[1][:8]}")
    elif head == "union":
        _check_union(kind[1], value, path, found, extras)
    elif head == "expand":
        if not isinstance(value, str) or not value:
            _check(kind[1], value, path, found, extras)
    elif head == "ref":
        _check_ref(kind[1], value, path, found, extras)
    elif head == "listobj":
        if not isinstance(value, dict) or value.get("object") not in ("list", "search_result"):
            found.append(f"{path}: wants a list object, got {_said(value)}")
            return
        _check_object(value, path, found, extras)
    elif not _is_plain(head, value):
        found.append(f"{path}: wants {head}, got {_said(value)}")


def _check_union(kinds: list[Type], value: Any, path: str, found: list[str], extras: frozenset[str]) -> None:
    closed = [kind for kind in kinds if kind[0] == "enum"]
    if closed and ["str"] in kinds:  # An open enumeration: `Union[Literal[…], str]`.
        _check(closed[0], value, path, found, extras)
        return
    tries: list[list[str]] = []
    for kind in kinds:
        wrong: list[str] = []
        _check(kind, value, path, wrong, extras)
        if not wrong:
            return
        tries.append(wrong)
    nearest: list[str] = min(tries, key=len)
    found.extend(nearest)


def _check_ref(key: str, value: Any, path: str, found: list[str], extras: frozenset[str]) -> None:
    if not isinstance(value, dict):
        found.append(f"{path}: wants {key.rpartition(':')[2]}, got {_said(value)}")
    elif key not in schema()["fields"] or key in _names():
        expected = _names().get(key)
        if expected is not None and value.get("object") != expected:
            found.append(f"{path}: wants a {expected}, got {value.get('object')!r}")
        elif expected is not None:
            _check_object(value, path, found, extras)
    else:
        _check_class(key, value, path, found, extras)


@cache
def _names() -> dict[str, str]:
    """The wire name of every class that is an object of its own; of a class with several, the first."""
    return {key: name for name, key in reversed(schema()["objects"].items())}


_PLAIN = {"bool", "int", "float", "map", "str", "decimal"}


def _is_plain(head: str, value: Any) -> bool:
    if head == "bool":
        return isinstance(value, bool)
    if head == "int":
        return isinstance(value, int) and not isinstance(value, bool)
    if head == "float":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if head == "map":
        return isinstance(value, dict)
    return isinstance(value, str)  # Decimals travel as strings.


def _said(value: Any) -> str:
    return f"{type(value).__name__} {str(value)[:40]}"
