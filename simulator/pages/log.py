"""The log of calls to the API, newest first, with what each carried."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from simulator.pages import html, words
from simulator.pages.html import esc

if TYPE_CHECKING:
    from simulator.core import Answer
    from simulator.front_door import FrontDoor

SHOWN = 200
HEADS = ["When", "Call", "Status", "ms", "Idempotency key", "Request id", "Made to fail"]


def show(door: FrontDoor, _: str, given: dict[str, str]) -> Answer:
    """The last calls; `?key=` keeps those with one idempotency key, `?path=` those whose path has this text."""
    key, path = given.get("key", "").strip(), given.get("path", "").strip()
    rows = [
        [
            words.minute(entry["at"]),
            _call(entry),
            str(entry["status"] or "no answer"),
            str(entry["milliseconds"]),
            esc(entry["idempotency_key"]),
            esc(entry["request_id"]),
            esc(entry["failure"]),
        ]
        for entry in door.requests()
        if (not key or entry["idempotency_key"] == key) and path in entry["path"]
    ][:SHOWN]
    form = f"""<form method="get" action="/_page/requests" class="row">
<div><label for="key">Idempotency key</label><input class="in" id="key" name="key" value="{esc(key)}"></div>
<div><label for="path">Part of the path</label>
<input class="in" id="path" name="path" value="{esc(path)}"></div>
<button class="btn">Show these</button></form>"""
    return html.page(
        "Calls", f"<h1>Calls to the API</h1>{html.table('Calls', HEADS, rows, above=form)}", wide=True
    )


def _call(entry: dict[str, object]) -> str:
    line = f"{entry['method']} {entry['path']}"
    carried = unquote_plus(str(entry["body"] or entry["query"]))
    if not carried:
        return esc(line)
    return f"<details><summary>{esc(line)}</summary><code>{esc(carried).replace('&amp;', '<br>')}</code></details>"
