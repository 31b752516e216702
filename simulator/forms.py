"""Reads what Stripe's SDKs write: `items[0][price]=price_1&expand[]=customer` becomes nested dicts and
lists.
"""

import json
import re
from typing import Any
from urllib.parse import parse_qsl

from simulator.errors import invalid

_PART = re.compile(r"\[([^\]]*)\]")


def decode(text: str | bytes) -> dict[str, Any]:
    """Nested parameters of a form-encoded (or JSON) body or query string; every leaf is a string."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    if text.lstrip().startswith("{"):
        try:
            loaded = json.loads(text)
        except ValueError:
            raise invalid("Invalid request body: it is neither form-encoded nor JSON.") from None
        return _as_text(loaded) if isinstance(loaded, dict) else {}
    tree: dict[str, Any] = {}
    for key, value in parse_qsl(text, keep_blank_values=True):
        head, bracket, _ = key.partition("[")
        _plant(tree, [head, *_PART.findall(key[len(head) :])] if bracket else [head], value)
    return {key: _lists(value) for key, value in tree.items()}


def _plant(tree: dict[str, Any], path: list[str], value: str) -> None:
    for at, part in enumerate(path[:-1]):
        step = tree.setdefault(part or str(len(tree)), {})
        if not isinstance(step, dict):
            raise invalid(
                f"Invalid parameter: {'.'.join(path[: at + 1])} is given both as a value and as a hash."
            )
        tree = step
    tree[path[-1] or str(len(tree))] = value


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(key.isdigit() for key in value):
        return [_lists(value[key]) for key in sorted(value, key=int)]
    return {key: _lists(inner) for key, inner in value.items()}


def _as_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_text(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_as_text(inner) for inner in value]
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
