"""A repeated key gets the first answer again: docs.stripe.com/api/idempotent_requests.

Two requests with one key at once never meet here: the simulator answers one request at a time, so the
second waits.
"""

import hashlib
import time
from typing import TYPE_CHECKING

from simulator.errors import key_reused
from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator

KEPT_SECONDS = 24 * 3600


def recall(sim: "Simulator", key: str, asked: str) -> Obj | None:
    """The first answer to this key, or None; raises when it came with other parameters."""
    kept = sim.store.get("_idempotency", key)
    if kept is None or kept["at"] < time.time() - KEPT_SECONDS:
        return None
    if kept["asked"] != asked:
        raise key_reused(
            "Keys for idempotent requests can only be used with the same parameters they were first used "
            f"with. Try using a key other than '{key}' if you meant to execute a different request."
        )
    return kept


def remember(sim: "Simulator", key: str, asked: str, status: int, body: str) -> None:
    """Keeps the answer for 24 hours of real time, and lets go of those older."""
    oldest = time.time() - KEPT_SECONDS
    for kept in sim.store.all("_idempotency"):
        if kept["at"] >= oldest:
            break
        sim.store.remove("_idempotency", kept["id"])
    facts = {"id": key, "asked": asked, "status": status, "body": body}
    sim.store.put("_idempotency", {**facts, "request": sim.request_id, "at": time.time()})


def fingerprint(method: str, path: str, body: bytes) -> str:
    """What was asked, to tell a retry from a different request."""
    return hashlib.sha256(b"\n".join((method.encode(), path.encode(), body))).hexdigest()
