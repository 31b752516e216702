"""Stripe's search: `status:"active" AND -metadata["plan"]:null`, pages by token (docs.stripe.com/search)."""

import re
from collections.abc import Callable, Iterable
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from simulator.errors import invalid
from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator
    from simulator.routing import Request

_CLAUSE = re.compile(
    r"""\s*(?P<no>-?)(?P<field>[a-z_.]+(?:\[["'][^"']+["']\])?)\s*(?P<how>:|~|>=|<=|>|<)\s*"""
    r"""(?P<value>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s]+)"""
)
_JOIN = re.compile(r"\s+(AND|OR)\s+")
_COMPARES: dict[str, Callable[[Decimal, Decimal], bool]] = {
    ">": lambda have, want: have > want,
    ">=": lambda have, want: have >= want,
    "<": lambda have, want: have < want,
    "<=": lambda have, want: have <= want,
}

# Where the objects keep what the query calls by a shorter name.
_PLACES = {"subscription": "parent.subscription_details.subscription"}

Test = Callable[[Obj], bool]


def page(sim: "Simulator", request: "Request", kind: str, fields: tuple[str, ...]) -> Obj:
    """One page of the objects that fit `query`, newest first; `fields` may be asked about, and metadata.

    Real search lags a minute behind writes; here it does not.
    """
    params = request.params
    wanted = _parse(params.need("query"), fields)
    limit = params.integer("limit", 10) or 0
    if not 1 <= limit <= 100:
        raise invalid("This value must be between 1 and 100 (inclusive).", param="limit")
    skipped = _skipped(params.text("page"))
    found = [obj for obj in _alive(sim.store.newest(kind)) if wanted(obj)]
    shown = found[skipped : skipped + limit]
    has_more = len(found) > skipped + limit
    return {
        "object": "search_result",
        "data": shown,
        "has_more": has_more,
        "next_page": f"page_{skipped + limit}" if has_more else None,
        "url": request.path,
    }


def _alive(objects: Iterable[Obj]) -> Iterable[Obj]:
    return (obj for obj in objects if not obj.get("deleted"))


def _skipped(token: str | None) -> int:
    if token is None:
        return 0
    if not re.fullmatch(r"page_\d+", token):
        raise invalid(f"Invalid page token: {token}", param="page")
    return int(token[len("page_") :])


def _parse(query: str, fields: tuple[str, ...]) -> Test:
    tests: list[Test] = []
    joins: set[str] = set()
    at = 0
    while True:
        clause = _CLAUSE.match(query, at)
        if clause is None:
            raise _unreadable()
        tests.append(_test(clause, fields))
        at = clause.end()
        if not query[at:].strip():
            break
        join = _JOIN.match(query, at) or re.compile(r"\s+()(?=\S)").match(query, at)
        if join is None:
            raise _unreadable()
        joins.add(join.group(1) or "AND")
        at = join.end()
    if len(joins) > 1:
        raise invalid("You can't combine AND and OR in one search query.", param="query")
    pick = any if "OR" in joins else all
    return lambda obj: pick(test(obj) for test in tests)


def _unreadable() -> Exception:
    return invalid(
        "We were unable to parse your search query. See https://docs.stripe.com/search#search-query-language.",
        param="query",
    )


def _test(clause: re.Match[str], fields: tuple[str, ...]) -> Test:
    field, how, raw = clause["field"], clause["how"], clause["value"]
    name, _, key = field.partition("[")
    if name != "metadata" and name not in fields:
        raise invalid(f"Field `{name}` is an unsupported search field for this resource.", param="query")
    path = ["metadata", key.strip("[]\"'")] if name == "metadata" else _PLACES.get(name, name).split(".")
    value = re.sub(r"\\(.)", r"\1", raw[1:-1]) if raw[:1] in "\"'" else raw
    is_null = raw == "null"
    if how in _COMPARES:
        bound = _number(value)
        if bound is None:
            raise invalid(f"`{field}` can only be compared with a number.", param="query")
    else:
        bound = None

    def holds(obj: Obj) -> bool:
        have = _value(obj, path)
        if is_null:
            return have in (None, "")
        if bound is not None:
            number = _number(have)
            return number is not None and _COMPARES[how](number, bound)
        if how == "~":
            return have is not None and value.lower() in str(have).lower()
        return have is not None and _said(have) == value.lower()

    return (lambda obj: not holds(obj)) if clause["no"] else holds


def _value(obj: Obj, path: list[str]) -> Any:
    value: Any = obj
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _said(value: Any) -> str:
    return str(value).lower()


def _number(value: Any) -> Decimal | None:
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return None
