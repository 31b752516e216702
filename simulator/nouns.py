"""What the house needs to know of every noun of Stripe's: how its ids begin, and by what it is found. The
resource that has the noun says so itself.
"""

PREFIXES: dict[str, str] = {}
"""Kind to the beginning of its ids; `""` for names that people choose."""

INDEXES: dict[str, tuple[str, ...]] = {}
"""Kind to the fields by which it can be asked for without walking a whole shelf."""

_LONGEST_FIRST: list[tuple[str, str]] = []


def noun(kind: str, prefix: str | None = None, *, found_by: tuple[str, ...] = ()) -> None:
    """Announces a noun, e.g. `noun("quote", "qt_", found_by=("customer",))`; no prefix for what is private."""
    INDEXES[kind] = found_by
    if prefix is None:
        return
    PREFIXES[kind] = prefix
    if prefix:
        _LONGEST_FIRST.append((prefix, kind))
        _LONGEST_FIRST.sort(key=lambda known: -len(known[0]))


def kind_of(name: str) -> str | None:
    """The noun whose ids begin as `name` does."""
    for prefix, kind in _LONGEST_FIRST:
        if name.startswith(prefix):
            return kind
    return None
