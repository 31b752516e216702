"""Stripe's letter box: check the seal, keep the letter, answer at once. `inbox` reads it later."""

from __future__ import annotations

from datetime import datetime

import structlog
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.views.decorators.csrf import csrf_exempt

from billing import alerts, clock, rejections
from billing.stripe import envelope, inbox, signature

log = structlog.get_logger(__name__)

MOST_BYTES = 1_048_576
# So many well signed letters out of the window in a day mean that our clock is wrong, not that somebody
# plays.
LETTERS_THAT_ACCUSE_OUR_CLOCK = 3


@csrf_exempt
@transaction.non_atomic_requests
def receive(request: HttpRequest) -> HttpResponse:
    """Take one letter. 200: kept (or of no concern to us); 400, 413: refused and counted; 405: not a letter.

    No network, no look inside: Stripe waits some seconds at most, and sends again for three days whatever was
    not answered with 2xx (https://docs.stripe.com/webhooks#retries).
    """
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    now = clock.wall()
    try:
        body = _body(request)
        signature.verify(
            body=body,
            header=request.headers.get("Stripe-Signature", ""),
            secrets=settings.STRIPE_WEBHOOK_SECRETS,
            now=now,
        )
        letter = envelope.read(body)
    except _TooLarge:
        return _refuse("too_large", "The body is larger than a letter from Stripe.", now=now, status=413)
    except signature.NoSecret as error:
        log.error("webhook_secret_missing")
        return _refuse(error.reason, str(error), now=now, status=503)
    except signature.SealRefused as error:
        return _refuse(error.reason, str(error), now=now)
    except envelope.Malformed as error:
        return _refuse("malformed", str(error), now=now)
    if letter.livemode != settings.STRIPE_LIVE_MODE:
        return _pass_over_foreign_mode(letter, now=now)
    inbox.keep(letter=letter, body=body, now=now)
    return HttpResponse("Kept.", content_type="text/plain")


class _TooLarge(Exception):
    pass


def _body(request: HttpRequest) -> bytes:
    """The raw bytes the seal was made over. A body announced as too large is not even read."""
    if int(request.META.get("CONTENT_LENGTH") or 0) > MOST_BYTES:
        raise _TooLarge
    try:
        return request.body
    except RequestDataTooBig as error:
        raise _TooLarge from error


def _refuse(reason: str, explanation: str, *, now: datetime, status: int = 400) -> HttpResponse:
    today = rejections.count(reason=reason, now=now)
    if reason in ("stale", "future") and today and today >= LETTERS_THAT_ACCUSE_OUR_CLOCK:
        alerts.raise_alert(
            key=f"clock_skew:{now:%Y-%m-%d}",
            kind="clock_skew",
            message=f"{today} well signed letters from Stripe were refused today: their time is off by "
            f"more than {signature.TOLERANCE_SECONDS} seconds. Check this server's clock; Stripe sends them "
            "again.",
            now=now,
        )
    return HttpResponse(explanation, status=status, content_type="text/plain")


def _pass_over_foreign_mode(letter: envelope.Envelope, *, now: datetime) -> HttpResponse:
    """A live letter at a test deployment, or the reverse: somebody's endpoint has the wrong address."""
    if rejections.count(reason="livemode", now=now) is not None:
        theirs, ours = ("live", "test") if letter.livemode else ("test", "live")
        alerts.raise_alert(
            key=f"foreign_mode:{theirs}",
            kind="foreign_mode",
            message=f"Stripe sends {theirs}-mode events to this {ours}-mode deployment (the last one: "
            f"{letter.type}). They are passed over. Correct the address of that webhook endpoint in "
            "the Stripe Dashboard.",
            now=now,
        )
    return HttpResponse("Of another mode: passed over.", content_type="text/plain")
