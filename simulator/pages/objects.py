"""One object as JSON with its ids as links, its deliveries if it is an event; and the search that finds it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from simulator import view
from simulator.pages import html
from simulator.pages.html import esc

if TYPE_CHECKING:
    from simulator.core import Answer, Simulator
    from simulator.front_door import FrontDoor

PRIVATE = ("delivery",)  # kinds of the simulator's own that people do not look up
_ID = re.compile(r"&quot;([a-z]+(?:_[a-z]+)*_[A-Za-z0-9_]{6,})&quot;(?!:)")


def search(door: FrontDoor, _: str, given: dict[str, str]) -> Answer:
    """Go to the object with this id, or to the customer with this e-mail address; else say there is none."""
    wanted = given.get("q", "").strip()
    with door.simulator.lock:
        found = _find(door.simulator, wanted) or next(
            iter(door.simulator.store.find("customer", "email", wanted)), None
        )
    if found is not None:
        return html.see_other(f"/_page/objects/{found['id']}")
    return html.see_other("/?" + urlencode({"said": f"There is nothing called “{wanted}” here."}))


def show(door: FrontDoor, name: str, given: dict[str, str]) -> Answer:
    """The object with this id, as the API would show it."""
    sim = door.simulator
    with sim.lock:
        found = _find(sim, name)
        shown = None if found is None else view.snapshot(sim, found)
        related = [] if found is None else _related(sim, found)
    if found is None or shown is None:
        sentence = "It may have been deleted, or the simulator was reset."
        return html.message(f"There is no {name}", sentence, status=404, link=("/", "Overview"))
    levers, post = "", ""
    if found["object"] in ("event", "v2.core.event"):
        levers = html.button("/press/resend", "Send again", event=found["id"])
        post = html.table("Its deliveries", ["To", "State", "Tries", "Last answer"], _deliveries(sim, name))
    text = _ID.sub(lambda id: _link(sim, id), esc(json.dumps(shown, indent=2, ensure_ascii=False)))
    body = f"""<h1>{esc(found["object"].replace(".", " ").replace("_", " "))}</h1>
<p class="soft">{esc(name)}</p>{levers}
<section class="card"><h2 id="json">As the API shows it</h2>
<pre class="scroll" tabindex="0" role="region" aria-labelledby="json">{text}</pre></section>
{post or html.table("Its events", ["Type", "Id"], related)}"""
    return html.page(name, body, wide=True)


def _find(sim: Simulator, name: str) -> dict[str, Any] | None:
    for kind, shelf in sim.store.shelves.items():
        if kind not in PRIVATE and not kind.startswith("_") and (found := shelf.rows.get(name)) is not None:
            return found
    return None


def _deliveries(sim: Simulator, event: str) -> list[list[str]]:
    return [
        [esc(row.endpoint_url), esc(row.state), str(row.attempts), esc(row.last_error or row.last_status)]
        for row in sim.deliveries.rows()
        if row.event["id"] == event
    ][:25]


def _related(sim: Simulator, about: dict[str, Any]) -> list[list[str]]:
    return [
        [esc(event["type"]), html.ref(event["id"])]
        for event in sim.store.newest("event")
        if event["data"]["object"].get("id") == about["id"]
    ][:25]


def _link(sim: Simulator, found: re.Match[str]) -> str:
    name = found.group(1)
    with sim.lock:
        is_here = _find(sim, name) is not None
    return f"&quot;{html.ref(name)}&quot;" if is_here else found.group()
