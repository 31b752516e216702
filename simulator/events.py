"""Tells the world what changed: an Event with the object's snapshot, and with what an update replaced."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from simulator import view
from simulator.shapes import API_VERSION, Obj, new

if TYPE_CHECKING:
    from simulator.core import Simulator


Follower = Callable[["Simulator", Obj], None]
_FOLLOWERS: list[tuple[str, Follower]] = []


def follows(prefix: str) -> Callable[[Follower], Follower]:
    """Announces what is done after every event whose type begins with `prefix`."""

    def announce(follower: Follower) -> Follower:
        _FOLLOWERS.append((prefix, follower))
        return follower

    return announce


def emit(sim: "Simulator", kind: str, obj: Obj, previous: Obj | None = None) -> Obj:
    """Keeps and sends one event about `obj` as it is now."""
    data: dict[str, Any] = {"object": view.snapshot(sim, obj)}
    if previous is not None:
        data["previous_attributes"] = previous
    event = new(
        "event",
        type=kind,
        api_version=API_VERSION,
        created=sim.clock.now(obj),
        data=data,
        pending_webhooks=0,
        request={"id": sim.request_id, "idempotency_key": sim.idempotency_key},
    )
    for absent in ("account", "context"):
        event.pop(absent, None)
    sim.deliveries.enqueue(event)
    sim.store.put("event", event)
    for prefix, follower in _FOLLOWERS:
        if kind.startswith(prefix):
            follower(sim, obj)
    return event


def created(sim: "Simulator", obj: Obj, kind: str | None = None) -> Obj:
    """Keeps a new object and says so (`<object>.created` unless told another name)."""
    sim.save(obj)
    emit(sim, kind or f"{obj['object']}.created", obj)
    return obj


@contextmanager
def change(sim: "Simulator", obj: Obj, kind: str, *, always: bool = False) -> Iterator[Obj]:
    """Keeps what the block changes on `obj`, and emits `kind` with the previous values if anything shows."""
    before = view.snapshot(sim, obj)
    yield obj
    sim.save(obj)
    previous = replaced(before, view.snapshot(sim, obj))
    if previous or always:
        emit(sim, kind, obj, previous)


def replaced(before: Obj, after: Obj) -> Obj:
    """What `before` said where `after` says otherwise; nested hashes only where they differ."""
    found: Obj = {}
    for key in before.keys() | after.keys():
        old, now = before.get(key), after.get(key)
        if old == now:
            continue
        if isinstance(old, dict) and isinstance(now, dict) and "object" not in old:
            found[key] = replaced(old, now)
        else:
            found[key] = old
    return found
