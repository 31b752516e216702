"""How objects leave the house: private notes stripped, embedded objects current, `expand[]` followed."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from simulator import nouns
from simulator.errors import invalid
from simulator.shapes import Obj, declares

if TYPE_CHECKING:
    from simulator.core import Simulator

# Ids tell what they name (`nouns`); these fields hold ids that people may choose freely.
_BY_FIELD = {"product": "product", "coupon": "coupon", "default_price": "price", "price": "price"}

# Always whole in Stripe's answers, kept as ids here so that they are never stale.
_EMBEDDED = {"subscription_item": "price", "item": "price", "customer": "discount"}

# The SDK's lists of sub-objects show ten and say `has_more`.
_SHOWN_IN_LISTS = 10

Grown = Callable[["Simulator", Obj], Any]
_GROWN: dict[tuple[str, str], Grown] = {}


def grows(kind: str, field: str) -> Callable[[Grown], Grown]:
    """Announces a field that only exists when expanded, e.g. `invoice.payments`."""

    def announce(grow: Grown) -> Grown:
        _GROWN[kind, field] = grow
        return grow

    return announce


def snapshot(sim: "Simulator", obj: Obj) -> Obj:
    """A deep copy fit to be sent."""
    shown: Obj = _copy(sim, obj)
    return shown


def render(sim: "Simulator", obj: Obj, expand: list[str]) -> Obj:
    """A copy with every path of `expand` (e.g. `data.latest_invoice.payments`) opened; 400 for one
    that cannot be.
    """
    shown: Obj = _copy_full(sim, obj)
    for path in expand:
        if not isinstance(path, str):
            raise invalid("Invalid string: expand must be a list of strings", param="expand")
        if path.count(".") > 3:
            words = f"You cannot expand more than 4 levels of a property. Property: {path}"
            raise invalid(words, param="expand")
        _open(sim, shown, path.split("."), path)
    return shown


def fetch(sim: "Simulator", name: str, field: str = "") -> Obj | None:
    """The object behind an id, found by its prefix or by the field that holds it."""
    by_field = _BY_FIELD.get(field)
    if by_field and (found := sim.store.get(by_field, name)):
        return found
    kind = nouns.kind_of(name)
    return sim.store.get(kind, name) if kind else None


_NESTED = (dict, list)  # made once: `dict | list` in the loop would be made for every value


def _copy(sim: "Simulator", value: Any) -> Any:
    if isinstance(value, dict):
        kind = value.get("object")
        if kind == "list":
            return _copy_list(sim, value)
        embedded = _EMBEDDED.get(kind, "") if isinstance(kind, str) else ""
        copied: Obj = {}
        # The busiest loop of the simulator: most values are plain and need no call.
        for key, inner in value.items():
            if isinstance(inner, _NESTED):
                if key != "_":
                    copied[key] = _copy(sim, inner)
            elif embedded == key and inner is not None:
                whole = fetch(sim, inner, key)
                copied[key] = _copy(sim, whole) if whole is not None else inner
            else:
                copied[key] = inner
        return copied
    return [_copy(sim, inner) for inner in value] if isinstance(value, list) else value


def _copy_list(sim: "Simulator", value: Obj) -> Obj:
    data = value["data"]
    shown = {key: inner for key, inner in value.items() if key not in ("data", "_")}
    shown["data"] = [_copy(sim, inner) for inner in data[:_SHOWN_IN_LISTS]]
    shown["has_more"] = bool(value.get("has_more")) or len(data) > _SHOWN_IN_LISTS
    shown["total_count"] = len(data)  # undeclared by the SDK, and in every recorded list inside an object
    return shown


def _open(sim: "Simulator", shown: Any, parts: list[str], path: str) -> None:
    if isinstance(shown, list):
        for inner in shown:
            _open(sim, inner, parts, path)
        return
    if not isinstance(shown, dict) or shown.get("deleted"):
        return  # what is left of a deleted object has nothing to open, and asking is no mistake
    head, rest = parts[0], parts[1:]
    kind = str(shown.get("object"))
    _grow(sim, shown, kind, parts)
    value = shown.get(head)
    if isinstance(value, str):
        whole = fetch(sim, value, head)
        names_something = head in _BY_FIELD or nouns.kind_of(value) is not None
        if whole is None and not rest and not names_something:
            raise invalid(f"This property cannot be expanded ({path}).", param="expand")
        value = shown[head] = snapshot(sim, whole) if whole is not None else value
    elif isinstance(value, list):
        opened = [fetch(sim, item, head) if isinstance(item, str) else None for item in value]
        value = shown[head] = [
            snapshot(sim, whole) if whole is not None else old
            for whole, old in zip(opened, value, strict=True)
        ]
    elif head not in shown and "object" in shown and kind != "list" and not _is_declared(kind, head):
        raise invalid(f"This property cannot be expanded ({path}).", param="expand")
    if rest:
        _open(sim, value, rest, path)


def _grow(sim: "Simulator", shown: Obj, kind: str, parts: list[str]) -> None:
    """Adds a field that only exists when asked for: of the object itself, or of a hash right inside it."""
    real = sim.store.get(kind, shown.get("id")) or shown
    head = parts[0]
    if head not in shown and (kind, head) in _GROWN:
        shown[head] = _copy_full(sim, _GROWN[kind, head](sim, real))
    within = ".".join(parts[:2])
    if len(parts) > 1 and isinstance(shown.get(head), dict) and (kind, within) in _GROWN:
        shown[head][parts[1]] = _copy_full(sim, _GROWN[kind, within](sim, real))


def _copy_full(sim: "Simulator", value: Any) -> Any:
    """A list that was asked for is not cut short: it has been paged already."""
    if isinstance(value, dict) and value.get("object") == "list":
        return {**value, "data": [_copy(sim, inner) for inner in value["data"]]}
    return _copy(sim, value)


def _is_declared(kind: str, field: str) -> bool:
    return (kind, field) in _GROWN or declares(kind, field)
