"""What falls due next: one heap per timeline, refilled whenever an object with a future is saved."""

import heapq
from collections.abc import Callable
from typing import TYPE_CHECKING

from simulator.clock import WALL
from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator

When = Callable[["Simulator", Obj], int | None]
Act = Callable[["Simulator", Obj], None]

_DUTIES: dict[str, tuple[When, Act]] = {}
_EARLY: set[str] = set()


class Stuck(RuntimeError):
    """Something fell due, was done, and fell due again at the same moment for ever."""


def duty(kind: str, when: When, act: Act, *, early: bool = False) -> None:
    """Announces that objects of `kind` fall due at `when(sim, obj)` and what is done then; `early` ones
    come first of all that falls due at the same second.
    """
    _DUTIES[kind] = (when, act)
    if early:
        _EARLY.add(kind)


class Agenda:
    """`note` plans an object's next moment, `run` does all that is due up to a moment, in order."""

    def __init__(self, sim: "Simulator") -> None:
        self._sim = sim
        self._heaps: dict[str, list[tuple[int, tuple[int, int], str, str]]] = {}
        self._planned: dict[tuple[str, str], int | None] = {}
        self._count = 0

    def note(self, kind: str, obj: Obj) -> None:
        """Plans (or unplans) what the object does next."""
        found = _DUTIES.get(kind)
        if found is None:
            return
        at = None if obj.get("deleted") else found[0](self._sim, obj)
        if self._planned.get((kind, obj["id"])) == at:
            return
        self._planned[kind, obj["id"]] = at
        if at is not None:
            self._count += 1
            heap = self._heaps.setdefault(self._sim.clock.timeline(obj), [])
            turn = (0 if kind in _EARLY else 1, self._count)
            heapq.heappush(heap, (at, turn, kind, obj["id"]))

    def refill(self) -> None:
        """Plans everything anew, as after loading a file."""
        self._heaps.clear()
        self._planned.clear()
        for kind in _DUTIES:
            for obj in self._sim.store.all(kind):
                self.note(kind, obj)

    def run(self, timeline: str = WALL, until: int | None = None) -> int:
        """Does what is due on a timeline up to `until` (its now), each thing at its own time; returns
        how many.
        """
        until = self._sim.clock.on(timeline) if until is None else until
        done = 0
        same: tuple[int, str, str] | None = None
        repeats = 0
        while (due := self._next(timeline)) is not None and due[0] <= until:
            at, kind, name = due
            repeats = repeats + 1 if same == due else 0
            if repeats > 20:
                raise Stuck(f"{kind} {name} is due at {at} again and again")
            same = due
            obj = self._sim.store.get(kind, name)
            self._planned[kind, name] = None
            if obj is None:
                continue
            with self._sim.clock.at(timeline, at):
                _DUTIES[kind][1](self._sim, obj)
                again = self._sim.store.get(kind, name)
                if again is not None:
                    self.note(kind, again)
            done += 1
        return done

    def _next(self, timeline: str) -> tuple[int, str, str] | None:
        heap = self._heaps.get(timeline, [])
        while heap:
            at, _, kind, name = heap[0]
            if self._planned.get((kind, name)) == at:
                return at, kind, name
            heapq.heappop(heap)
        return None
