"""Which ONE notice an account sees now, by priority. The words are templates: one for who can act, one for others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from billing.entitlements import Entitlements, facts_of

# Highest first. The words are in templates/billing/notices/_admin_<kind>.html and _member_<kind>.html.
PRIORITY = (
    "blocked",
    "payment_failed",
    "payment_missing",
    "payment_unfinished",
    "trial_paused",
    "under_review",
    "allowance_exhausted",
    "canceling",
    "allowance_low",
    "trial",
)
TONES = {
    "blocked": "bad",
    "payment_failed": "bad",
    "payment_missing": "bad",
    "payment_unfinished": "bad",
    "trial_paused": "warn",
    "under_review": "warn",
    "allowance_exhausted": "warn",
    "canceling": "warn",
    "allowance_low": "warn",
    "trial": "info",
}


@dataclass(frozen=True)
class Notice:
    """One thing to say. `at` is the date it turns on, `url` where the next step is (Stripe's page for a payment)."""

    kind: str
    at: datetime | None = None
    retry_at: datetime | None = None
    url: str = ""
    # "generations": what ran out, in the catalog's words for that many.
    unit: str = ""
    used: int = 0
    limit: int = 0

    @property
    def tone(self) -> str:
        return TONES[self.kind]


def of(rights: Entitlements) -> Notice | None:
    """The most pressing thing about what was bought, or None."""
    subscription = rights.subscription
    match rights.reason:
        case "suspended" | "dispute_lost":
            return Notice("blocked")
        case "unknown_status" | "renewal_unseen" | "trial_ended" | "dispute_open":
            return Notice("under_review")
    if subscription is None or rights.reason == "granted":
        return None
    pay = subscription.open_invoice_url
    match rights.reason:
        case "past_due_in_grace":
            retry_at = subscription.next_payment_attempt_at
            return Notice("payment_failed", at=rights.grace_until, retry_at=retry_at, url=pay)
        case "past_due" | "unpaid":
            return Notice("payment_missing", retry_at=subscription.next_payment_attempt_at, url=pay)
        case "incomplete":
            return Notice("payment_unfinished", url=pay)
        case "paused":
            return Notice("trial_paused")
    if subscription.needs_review:
        return Notice("under_review")
    match rights.reason:
        case "canceling" | "trial_canceling":
            return Notice("canceling", at=facts_of(subscription).ends_at)
        case "trialing":
            return Notice("trial", at=subscription.trial_end)
    return None


def first(candidates: Iterable[Notice | None]) -> Notice | None:
    """The most pressing of several."""
    given = [notice for notice in candidates if notice is not None]
    return min(given, key=lambda notice: PRIORITY.index(notice.kind), default=None)
