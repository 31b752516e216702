"""Stripe's lists: newest first, cursors on ids, `has_more`, and filters on when things were made."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from simulator.errors import invalid, no_such
from simulator.params import Params
from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator
    from simulator.routing import Request


def page(
    sim: "Simulator",
    request: "Request",
    kind: str,
    *,
    among: list[Obj] | None = None,
    where: Callable[[Obj], bool] | None = None,
    url: str | None = None,
) -> Obj:
    """One page of a kind (or of `among`, oldest first), newest first, as
    docs.stripe.com/api/pagination says.
    """
    params = request.params
    limit = params.integer("limit", 10) or 0
    if not 1 <= limit <= 100:
        raise invalid("This value must be between 1 and 100 (inclusive).", param="limit")
    after, before = params.text("starting_after"), params.text("ending_before")
    cursor = after or before
    if cursor is not None and cursor not in sim.store.shelf(kind).places:
        raise no_such(kind, cursor, param="starting_after" if after else "ending_before", status=400)

    found = _wanted(sim, kind, among, after, before)
    shown = list(
        islice((obj for obj in found if _fits(obj, params) and (where is None or where(obj))), limit + 1)
    )
    has_more = len(shown) > limit
    shown = shown[:limit]
    if before:
        shown.reverse()
    return {"object": "list", "data": shown, "has_more": has_more, "url": url or request.path}


def of(objects: Iterable[Obj], url: str, request: "Request | None" = None) -> Obj:
    """A small list in the order given, paged when a request asks for pages."""
    data = list(objects)
    has_more = False
    if request is not None:
        limit = request.params.integer("limit", 10) or 10
        after = request.params.text("starting_after")
        names = [obj["id"] for obj in data]
        if after in names:
            data = data[names.index(after) + 1 :]
        data, has_more = data[:limit], len(data) > limit
    return {"object": "list", "data": data, "has_more": has_more, "url": url}


def within(params: Params, name: str, value: int | None) -> bool:
    """Does `value` fit a range filter such as `created[gte]=…` or `created=…`?"""
    given = params.values.get(name)
    if given in (None, ""):
        return True
    if value is None:
        return False
    if not isinstance(given, dict):
        return value == params.integer(name)
    bounds = params.inner(name)
    checks: dict[str, Callable[[int], bool]] = {
        "gt": lambda bound: value > bound,
        "gte": lambda bound: value >= bound,
        "lt": lambda bound: value < bound,
        "lte": lambda bound: value <= bound,
    }
    return all(checks[key](bound) for key in bounds if (bound := bounds.integer(key)) is not None)


def _wanted(
    sim: "Simulator", kind: str, among: list[Obj] | None, after: str | None, before: str | None
) -> Iterator[Obj]:
    shelf = sim.store.shelf(kind)
    if among is not None:
        places = shelf.places
        ordered = sorted(among, key=lambda obj: places[obj["id"]], reverse=not before)
        if before:
            return (obj for obj in ordered if places[obj["id"]] > places[before])
        return (obj for obj in ordered if after is None or places[obj["id"]] < places[after])
    if before:
        return (shelf.rows[name] for name in shelf.order[shelf.places[before] + 1 :] if name in shelf.rows)
    return sim.store.newest(kind, below=shelf.places[after] if after else None)


def _fits(obj: dict[str, Any], params: Params) -> bool:
    return not obj.get("deleted") and within(params, "created", obj.get("created"))
