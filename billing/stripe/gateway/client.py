"""One call to Stripe: our key, our API version, ten seconds, bounded retries, one line in the log."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NoReturn

import stripe
import structlog
from django.conf import settings
from django.db import connection

from billing.stripe.breaker import Breaker, Resting, State
from billing.stripe.gateway import journal
from billing.stripe.gateway.errors import (
    CardDeclined,
    IdempotencyMismatch,
    InsideTransaction,
    InvalidRequest,
    NotAllowed,
    NotFound,
    StripeError,
    StripeUnavailable,
    WrongMode,
)

log = structlog.get_logger(__name__)

# The SDK repeats dropped connections, 409 and 5xx itself, but not 429, which Stripe rejects before acting.
NETWORK_RETRIES = 2
RATE_LIMIT_RETRIES = 3
LONGEST_PAUSE_SECONDS = 4.0
# Who has a page to wait for gets an answer within this, or none.
GLANCE_SECONDS = 2


def _line_changed(state: State) -> None:
    (log.error if state == State.OPEN else log.info)("stripe_line", state=str(state))
    journal.note_line(str(state))


# This process's line to Stripe.
line = Breaker(on_change=_line_changed)
# A child begins with a line of its own: its parent may have held the lock while forking.
os.register_at_fork(after_in_child=line.forget)


def call(
    method: str,
    path: str,
    params: Mapping[str, Any] | None = None,
    *,
    idempotency_key: str | None = None,
    is_glance: bool = False,
) -> dict[str, Any]:
    """Ask Stripe and return its answer as plain JSON types; a glance waits GLANCE_SECONDS and tries once.

    Raises the errors of `gateway.errors`, and InsideTransaction when a database transaction is open. While the line
    rests (`billing.stripe.breaker`) nothing is asked: StripeUnavailable at once, with a known outcome.
    """
    if connection.in_atomic_block:
        raise InsideTransaction(f"{method} {path} was asked for inside a database transaction.")
    try:
        line.enter()
    except Resting as resting:
        journal.note_not_asked()
        raise StripeUnavailable(str(resting)) from resting
    client = _client(
        settings.STRIPE_SECRET_KEY,
        settings.STRIPE_API_BASE,
        settings.STRIPE_API_VERSION,
        min(GLANCE_SECONDS, settings.STRIPE_TIMEOUT_SECONDS)
        if is_glance
        else settings.STRIPE_TIMEOUT_SECONDS,
        0 if is_glance else NETWORK_RETRIES,
        os.getpid(),
    )
    options = {"idempotency_key": idempotency_key} if idempotency_key else {}
    last = 0 if is_glance else RATE_LIMIT_RETRIES
    for attempt in range(last + 1):
        started = time.monotonic()
        try:
            answer = client.raw_request(method.lower(), path, **(params or {}), **options)
        except stripe.RateLimitError as error:
            line.answered()
            _log(method, path, started, error.http_status, _request_id(error))
            if attempt == last or _told_not_to_retry(error):
                raise StripeUnavailable(
                    "Stripe is being asked too often.", request_id=_request_id(error)
                ) from error
            time.sleep(_pause(error, attempt))
        except stripe.StripeError as error:
            _mind(error, waited=time.monotonic() - started)
            _log(method, path, started, error.http_status, _request_id(error))
            _raise_as_ours(error, method=method, path=path)
        else:
            line.answered()
            _log(method, path, started, answer.code, answer.request_id or "")
            document: dict[str, Any] = json.loads(answer.body)
            return document
    raise AssertionError("the loop returns or raises")


def is_resting() -> bool:
    """Stripe has not answered lately, and a call now would be refused without being made."""
    return line.is_resting()


def as_sdk_object(document: Mapping[str, Any]) -> Any:
    """The SDK's object for a plain answer: what dj-stripe wants to be fed with."""
    return stripe.convert_to_stripe_object(dict(document))


@lru_cache(maxsize=4)
def _client(
    key: str, base: str, version: str, timeout: int, retries: int, process: int
) -> stripe.StripeClient:
    # `process` is part of the key because connections must not be shared with a forked child.
    return stripe.StripeClient(
        key,
        stripe_version=version,
        base_addresses={"api": base},
        max_network_retries=retries,
        http_client=stripe.RequestsClient(timeout=timeout),
    )


def _mind(error: stripe.StripeError, *, waited: float) -> None:
    """Tell the breaker whether it was Stripe who spoke; a refusal is an answer like any other."""
    if error.http_status is None or error.http_status >= 500:
        line.failed(waited=waited)
    else:
        line.answered()


def _raise_as_ours(error: stripe.StripeError, *, method: str, path: str) -> NoReturn:
    message = error.user_message or str(error)
    request_id = _request_id(error)
    if isinstance(error, stripe.IdempotencyError):
        raise IdempotencyMismatch(message, request_id=request_id) from error
    if isinstance(error, stripe.CardError):
        details = error.error
        decline_code = (details.decline_code if details else "") or ""
        raise CardDeclined(
            message, request_id=request_id, code=error.code or "", decline_code=decline_code
        ) from error
    if isinstance(error, stripe.InvalidRequestError):
        if "a similar object exists in" in message:
            raise WrongMode(message, request_id=request_id) from error
        missing = error.code == "resource_missing" or error.http_status == 404
        kind = NotFound if missing else InvalidRequest
        raise kind(message, request_id=request_id, code=error.code or "", param=error.param or "") from error
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        raise NotAllowed(message, request_id=request_id) from error
    if isinstance(error, stripe.APIConnectionError) or _is_server_trouble(error):
        raise StripeUnavailable(
            f"Stripe did not answer {method} {path}.",
            request_id=request_id,
            outcome_unknown=method != "GET",
            was_replayed=_header(error, "idempotent-replayed") == "true",
        ) from error
    raise StripeError(message, request_id=request_id) from error


def _is_server_trouble(error: stripe.StripeError) -> bool:
    # No JSON in an answer counts too: something between Stripe and us has spoken in its place.
    return isinstance(error, stripe.APIError) and (error.http_status is None or error.http_status >= 409)


def _pause(error: stripe.StripeError, attempt: int) -> float:
    """Seconds to wait after a 429: what Stripe asks for, else doubling from a quarter, with jitter."""
    try:
        wanted = float(_header(error, "retry-after"))
    except ValueError:
        wanted = 0.25 * 2**attempt
        wanted *= 0.5 + random.random()
    return min(wanted, LONGEST_PAUSE_SECONDS)


def _told_not_to_retry(error: stripe.StripeError) -> bool:
    return _header(error, "stripe-should-retry") == "false"


def _header(error: stripe.StripeError, name: str) -> str:
    for key, value in (error.headers or {}).items():
        if key.lower() == name:
            return str(value)
    return ""


def _request_id(error: stripe.StripeError) -> str:
    return error.request_id or _header(error, "request-id")


def _log(method: str, path: str, started: float, status: int | None, request_id: str) -> None:
    ms = round((time.monotonic() - started) * 1000)
    log.info("stripe_call", method=method, path=path, status=status or 0, ms=ms, request_id=request_id)
    journal.note(method=method, path=path, status=status or 0, milliseconds=ms, request_id=request_id)
