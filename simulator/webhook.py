"""One webhook on its way: the event, where it goes, its signature, and a single try at handing it over."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 10.0


@dataclass
class Delivery:
    """One event on its way to one endpoint."""

    event: dict[str, Any]
    endpoint_id: str
    endpoint_url: str
    secret: str
    id: str = field(default_factory=lambda: f"dlv_{uuid.uuid4().hex[:20]}")
    state: str = (
        "waiting"  # waiting, delivered, dropped (by a fault or a removed endpoint), failed (given up)
    )
    attempts: int = 0
    next_at: float = 0.0  # wall-clock seconds
    last_status: int | None = None
    last_error: str | None = None
    sending: bool = False
    is_corrupt: bool = False  # the next try is garbled on its way

    def body(self) -> bytes:
        """The bytes posted, the same on every try."""
        return json.dumps(self.event, indent=2, ensure_ascii=False).encode()

    def headers(self, now: float | None = None) -> dict[str, str]:
        """The headers posted; the signature carries the time of this try, as Stripe's does."""
        return {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Stripe-Signature": signature(self.secret, self.body(), int(time.time() if now is None else now)),
        }

    def row(self) -> dict[str, Any]:
        """What is shown in lists and kept in the store: everything but the secret, the event by id."""
        return {
            "id": self.id,
            "object": "delivery",
            "event": self.event["id"],
            "type": self.event["type"],
            "endpoint": self.endpoint_id,
            "url": self.endpoint_url,
            "state": self.state,
            "attempts": self.attempts,
            "next_at": self.next_at,
            "last_status": self.last_status,
            "last_error": self.last_error,
        }


def signature(secret: str, body: bytes, at: int) -> str:
    """`t=…,v1=` and HMAC-SHA256 over `t.body`, in hex (docs.stripe.com/webhooks#verify-manually)."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def post_once(delivery: Delivery, *, skew_seconds: int = 0) -> tuple[int | None, str | None]:
    """Hand it over once: the status answered (None when nobody did) and what went wrong, if anything.

    `skew_seconds` is how far the signing clock is off.
    """
    address = urlsplit(delivery.endpoint_url)
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    connection = kind(address.hostname or "", address.port, timeout=TIMEOUT_SECONDS)
    try:
        target = (address.path or "/") + (f"?{address.query}" if address.query else "")
        body = delivery.body()
        if delivery.is_corrupt:
            body = body.replace(b'"id": "evt_', b'"id": "evt_garbled', 1)
        connection.request("POST", target, body, delivery.headers(time.time() + skew_seconds))
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException) as trouble:
        return None, f"{type(trouble).__name__}: {trouble}"
    else:
        return answer.status, None if answer.status < 300 else f"answered {answer.status}"
    finally:
        connection.close()
