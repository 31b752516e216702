"""A notification to a customer's own server, signed as Standard Webhooks says.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import datetime
from typing import Any

from django.conf import settings

from accounts.models import Delivery, Notification
from accounts.notifications import calls, destinations


def carry(delivery: Delivery, now: datetime) -> None:
    """Post it, signed at `now` (wall time). Raises outgoing.NotAllowed, outgoing.NotReached."""
    destination = delivery.destination
    assert destination is not None
    body = json.dumps(payload(delivery.notification), separators=(",", ":"), ensure_ascii=False).encode()
    name = message_id(delivery)
    seconds = int(now.timestamp())
    signed = [sign(secret, name, seconds, body) for secret in destinations.secrets_of(destination, now=now)]
    calls.log_and_post(
        delivery,
        url=destinations.url_of(destination),
        body=body,
        headers={
            "Content-Type": "application/json",
            "User-Agent": f"{settings.SITE_NAME}-webhooks/1",
            "webhook-id": name,
            "webhook-timestamp": str(seconds),
            "webhook-signature": " ".join(signed),
        },
        now=now,
    )


def payload(notification: Notification) -> dict[str, Any]:
    """What a server gets. `timestamp` is when it became true, in the account's time."""
    return {
        "type": notification.kind,
        "timestamp": notification.created_at.isoformat().replace("+00:00", "Z"),
        "data": {
            "account": str(notification.account_id),
            "key": notification.key.partition(": ")[2],
            "subject": notification.subject,
            "text": notification.text,
            **notification.context,
        },
    }


def message_id(delivery: Delivery) -> str:
    """The same for every attempt, so that a receiver can tell a repetition."""
    digest = hashlib.sha256(f"{delivery.destination_id}:{delivery.notification.key}".encode()).hexdigest()
    return f"msg_{digest[:32]}"


def sign(secret: str, message_id: str, seconds: int, body: bytes) -> str:
    """ "v1," and the base64 of HMAC-SHA256 over id, timestamp and body."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = hmac.new(key, f"{message_id}.{seconds}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(signed).decode()
