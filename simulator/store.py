"""Where the simulator's objects live: shelves in memory by kind, and, when given a file, SQLite
written once per request.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

from simulator.nouns import INDEXES
from simulator.shapes import Obj, id_of

_TABLES = """
create table if not exists object (kind text, id text, place integer, body text, primary key (kind, id));
create table if not exists fact (name text primary key, body text);
"""


class Shelf:
    """All objects of one kind in the order they were made, with their indexes."""

    def __init__(self, kind: str) -> None:
        self.rows: dict[str, Obj] = {}
        self.order: list[str] = []
        self.places: dict[str, int] = {}
        self.fields = INDEXES.get(kind, ())
        self.found: dict[str, dict[str, dict[str, None]]] = {field: {} for field in self.fields}
        self.keys: dict[str, dict[str, str | None]] = {}

    def put(self, obj: Obj) -> None:
        """Adds the object, or files it anew after a change."""
        name = obj["id"]
        if name not in self.places:
            self.places[name] = len(self.order)
            self.order.append(name)
        self.rows[name] = obj
        before = self.keys.get(name, {})
        now = {field: _value(obj, field) for field in self.fields}
        for field, value in now.items():
            old = before.get(field)
            if old == value and before:
                continue
            if old is not None:
                self.found[field].get(old, {}).pop(name, None)
            if value is not None:
                self.found[field].setdefault(value, {})[name] = None
        self.keys[name] = now

    def remove(self, name: str) -> None:
        """Forgets the object; its place stays empty."""
        self.rows.pop(name, None)
        for field, value in self.keys.pop(name, {}).items():
            if value is not None:
                self.found[field].get(value, {}).pop(name, None)


class Store:
    """`get`, `find`, `put`, `remove`; `commit` makes the changes of one request durable."""

    def __init__(self, path: str | None = None) -> None:
        self.shelves: dict[str, Shelf] = {}
        self.facts: dict[str, Any] = {}
        self.on_put: Callable[[str, Obj], None] | None = None
        self._dirty: dict[tuple[str, str], bool] = {}
        self._dirty_facts: set[str] = set()
        self._file = sqlite3.connect(path, check_same_thread=False) if path else None
        if self._file is not None:
            self._file.execute("pragma journal_mode=wal")
            self._file.execute("pragma synchronous=normal")
            self._file.executescript(_TABLES)
            self._load(self._file)

    def shelf(self, kind: str) -> Shelf:
        """The shelf of a kind, made when first asked for."""
        found = self.shelves.get(kind)
        if found is None:
            found = self.shelves[kind] = Shelf(kind)
        return found

    def get(self, kind: str, name: str | None) -> Obj | None:
        """One object, or None."""
        return self.shelf(kind).rows.get(name) if name else None

    def all(self, kind: str) -> Iterator[Obj]:
        """Every object of a kind, oldest first."""
        shelf = self.shelf(kind)
        return (shelf.rows[name] for name in shelf.order if name in shelf.rows)

    def newest(self, kind: str, *, below: int | None = None) -> Iterator[Obj]:
        """Every object of a kind, newest first, from just under place `below`."""
        shelf = self.shelf(kind)
        for at in range((len(shelf.order) if below is None else below) - 1, -1, -1):
            row = shelf.rows.get(shelf.order[at])
            if row is not None:
                yield row

    def find(self, kind: str, field: str, value: str | None) -> list[Obj]:
        """Objects whose indexed `field` is `value`, oldest first."""
        if value is None:
            return []
        shelf = self.shelf(kind)
        names = shelf.found[field].get(value, {})
        return [shelf.rows[name] for name in sorted(names, key=shelf.places.__getitem__)]

    def put(self, kind: str, obj: Obj) -> Obj:
        """Keeps a new or changed object."""
        self.shelf(kind).put(obj)
        self._dirty[kind, obj["id"]] = True
        if self.on_put is not None:
            self.on_put(kind, obj)
        return obj

    def remove(self, kind: str, name: str) -> None:
        """Forgets an object."""
        self.shelf(kind).remove(name)
        self._dirty[kind, name] = False

    def fact(self, name: str, default: Any = None) -> Any:
        """One of the few loose facts: the offset, the counters."""
        return self.facts.get(name, default)

    def set_fact(self, name: str, value: Any) -> None:
        """Keeps a loose fact; it must be JSON."""
        self.facts[name] = value
        self._dirty_facts.add(name)

    def commit(self) -> None:
        """Writes everything changed since the last commit in one transaction; nothing to do without a
        file.
        """
        if self._file is not None and (self._dirty or self._dirty_facts):
            with self._file:
                for (kind, name), is_kept in self._dirty.items():
                    if is_kept:
                        shelf = self.shelf(kind)
                        row = (kind, name, shelf.places[name], json.dumps(shelf.rows[name]))
                        self._file.execute("insert or replace into object values (?, ?, ?, ?)", row)
                    else:
                        self._file.execute("delete from object where kind = ? and id = ?", (kind, name))
                for fact in self._dirty_facts:
                    row2 = (fact, json.dumps(self.facts[fact]))
                    self._file.execute("insert or replace into fact values (?, ?)", row2)
        self._dirty.clear()
        self._dirty_facts.clear()

    def clear(self) -> None:
        """Forgets everything, in the file too."""
        self.shelves.clear()
        self.facts.clear()
        self._dirty.clear()
        self._dirty_facts.clear()
        if self._file is not None:
            with self._file:
                self._file.execute("delete from object")
                self._file.execute("delete from fact")

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _load(self, file: sqlite3.Connection) -> None:
        for kind, body in file.execute("select kind, body from object order by kind, place"):
            self.shelf(kind).put(json.loads(body))
        for name, body in file.execute("select name, body from fact"):
            self.facts[name] = json.loads(body)


def _value(obj: Obj, field: str) -> str | None:
    if obj.get("deleted"):
        return None
    value: Any = obj
    for part in field.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return id_of(value)
