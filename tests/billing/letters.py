"""Letters from Stripe for the tests of the letter box: written, signed and posted like Stripe does."""

import itertools
import json
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from billing.stripe import signature

ADDRESS = "/stripe/webhook/"
_numbers = itertools.count(1)


def letter(
    type: str = "customer.updated", *, about: dict[str, Any] | None = None, **fields: Any
) -> dict[str, Any]:
    """A snapshot event as Stripe renders it. `about` is the object it carries."""
    return {
        "id": f"evt_{next(_numbers):024d}",
        "object": "event",
        "api_version": settings.STRIPE_API_VERSION,
        "created": int(timezone.now().timestamp()),
        "data": {"object": about or {"id": "cus_unknown", "object": "customer"}},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": type,
        **fields,
    }


def thin_letter(type: str, *, about: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A thin (v2) event: it names its object and carries nothing."""
    return {
        "id": f"evt_test_{next(_numbers):024d}",
        "object": "v2.core.event",
        "type": type,
        "livemode": False,
        "created": timezone.now().isoformat().replace("+00:00", "Z"),
        "related_object": about,
        **fields,
    }


def post(
    body: bytes | dict[str, Any],
    *,
    secret: str | None = None,
    late: timedelta = timedelta(),
    header: str | None = None,
    at: datetime | None = None,
    client: Client | None = None,
) -> HttpResponse:
    """Post a letter, signed with our secret unless told otherwise. `late` is how long ago it was signed."""
    if isinstance(body, dict):
        body = json.dumps(body).encode()
    if header is None:
        signed_at = (at or timezone.now()) - late
        secret = settings.STRIPE_WEBHOOK_SECRETS[0] if secret is None else secret
        header = signature.sign(body=body, secret=secret, at=signed_at)
    headers = {"Stripe-Signature": header} if header else {}
    client = client or Client(enforce_csrf_checks=True)
    return client.post(ADDRESS, body, content_type="application/json; charset=utf-8", headers=headers)
