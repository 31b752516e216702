"""How a Stripe object is born: an id with its prefix, a skeleton from the SDK, our facts on top.

The key `_` holds what the simulator remembers for itself; `view` never shows it.
"""

import json
import random
import string
from typing import Any

from simulator import sdk
from simulator.nouns import PREFIXES
from simulator.sdk.responses import INCLUDABLE

Obj = dict[str, Any]

API_VERSION = "2026-08-26.dahlia"

_SKELETONS: dict[str, str] = {}
_ALPHABET = string.ascii_letters + string.digits


def new(kind: str, **facts: Any) -> Obj:
    """A new object of Stripe's kind `kind` with every key real ones have; `facts` override the skeleton."""
    shape: Obj = json.loads(_skeleton(kind))
    if "id" in shape and "id" not in facts:
        shape["id"] = new_id(PREFIXES[kind])
    shape["object"] = kind
    shape.update(facts)
    return shape


def declares(kind: str, field: str) -> bool:
    """Does the SDK know this field, be it only shown when expanded?"""
    try:
        return field in json.loads(_skeleton(kind)) or field in INCLUDABLE.get(kind, ())
    except KeyError:
        return False


def new_id(prefix: str, length: int = 24) -> str:
    """A random id in Stripe's manner: prefix, then letters and digits."""
    return prefix + "".join(random.choices(_ALPHABET, k=length))


def empty_list(url: str) -> Obj:
    """Stripe's list object with nothing in it."""
    return {"object": "list", "data": [], "has_more": False, "url": url}


def id_of(value: Any) -> str | None:
    """The id behind a field that may be expanded."""
    if isinstance(value, dict):
        found = value.get("id")
        return found if isinstance(found, str) else None
    return value if isinstance(value, str) and value else None


def _skeleton(kind: str) -> str:
    if kind not in _SKELETONS:
        _SKELETONS[kind] = json.dumps(sdk.skeleton(kind))
    return _SKELETONS[kind]
