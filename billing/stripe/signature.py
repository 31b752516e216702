"""The seal on Stripe's letters: an HMAC over the raw bytes, a moment neither past nor to come."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

TOLERANCE_SECONDS = 300
# Ours, not Stripe's: a header with thousands of candidate signatures would buy thousands of comparisons.
MOST_SIGNATURES = 16


class SealRefused(Exception):
    """The letter is not taken. `reason` is the word it is counted under (WebhookRejection.reason)."""

    reason = "signature"


class NoSecret(SealRefused):
    """No webhook secret is configured: an empty one would let anybody sign."""

    reason = "no_secret"


class BadSignature(SealRefused):
    """The header is missing or malformed, or no secret of ours made any of its signatures."""


class StaleSignature(SealRefused):
    """Well signed, but too long ago: a replay, or our clock runs ahead."""

    reason = "stale"


class FutureSignature(SealRefused):
    """Well signed, but later than now: our clock runs behind."""

    reason = "future"


def verify(
    *,
    body: bytes,
    header: str,
    secrets: Sequence[str],
    now: datetime,
    tolerance_seconds: int = TOLERANCE_SECONDS,
) -> datetime:
    """The moment the letter was signed (aware, UTC), once one of `secrets` is found to have signed these very
    bytes.

    The rule is Stripe's: HMAC-SHA256 over `timestamp.body`, one `v1` per active secret in `Stripe-Signature`
    (https://docs.stripe.com/webhooks#verify-manually). Several secrets let one be rolled without losing
    letters. Stripe's own check looks only for old letters; one from the future is refused here too.

    Raises:
        NoSecret: `secrets` holds nothing but empty strings.
        BadSignature: unsigned, malformed, or signed by somebody else.
        StaleSignature: signed more than `tolerance_seconds` before `now`.
        FutureSignature: signed more than `tolerance_seconds` after `now`.
    """
    usable = [secret for secret in secrets if secret.strip()]
    if not usable:
        raise NoSecret(
            "No webhook secret is set. Set STRIPE_WEBHOOK_SECRETS to the endpoint's signing secret."
        )
    timestamp, signatures = _read(header)
    signed = timestamp.encode() + b"." + body
    expected = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest().encode() for secret in usable]
    if not any(hmac.compare_digest(one, given) for one in expected for given in signatures):
        raise BadSignature("No secret of ours made this signature.")
    signed_at = datetime.fromtimestamp(int(timestamp), tz=UTC)
    tolerance = timedelta(seconds=tolerance_seconds)
    if signed_at < now - tolerance:
        raise StaleSignature(f"Signed {(now - signed_at).total_seconds():.0f} s ago.")
    if signed_at > now + tolerance:
        raise FutureSignature(f"Signed {(signed_at - now).total_seconds():.0f} s in the future.")
    return signed_at


def sign(*, body: bytes, secret: str, at: datetime) -> str:
    """The `Stripe-Signature` header Stripe would send with `body` at `at`; for benchmarks and self-checks."""
    timestamp = int(at.timestamp())
    seal = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={seal}"


def _read(header: str) -> tuple[str, list[bytes]]:
    timestamp, signatures = "", []
    for part in header.split(","):
        name, _, value = part.strip().partition("=")
        if name == "t":
            timestamp = value
        elif name == "v1":
            signatures.append(value.encode())
    # Eleven digits last beyond the year 5000, and fit every clock.
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 11):
        raise BadSignature("The Stripe-Signature header has no timestamp.")
    if not signatures or len(signatures) > MOST_SIGNATURES:
        raise BadSignature("The Stripe-Signature header has no signature.")
    return timestamp, signatures
