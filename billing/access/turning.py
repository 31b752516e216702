"""When an answer turns by the clock alone: the ends of trials, periods and grace, and how late news may be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from billing.access.facts import GrantFacts, SubscriptionFacts

# A renewal is invoiced at once but paid up to an hour later, and letters may be late: do not cut anyone off for that.
LATE_NEWS = timedelta(hours=24)
# Stripe retries its letters for three days; so long an outage of theirs or ours costs no customer their access.
NO_NEWS = timedelta(hours=72)
UNKNOWN_STATUS = timedelta(hours=24)


def points(subscriptions: Sequence[SubscriptionFacts], grants: Sequence[GrantFacts]) -> Iterator[datetime]:
    """Every moment at which an answer may turn by the clock alone; too many is safe, too few is a leak."""
    for facts in subscriptions:
        for start, later in (
            (facts.trial_end, LATE_NEWS),
            (facts.period_end, LATE_NEWS),
            (facts.period_end, NO_NEWS),
            (facts.status_since, UNKNOWN_STATUS),
        ):
            if start is not None:
                yield start
                yield start + later
        for at in (facts.cancel_at, grace_end(facts), facts.paused_from):
            if at is not None:
                yield at
    for grant in grants:
        if not grant.revoked:
            yield grant.starts_at
            if grant.until is not None:
                yield grant.until


def grace_end(facts: SubscriptionFacts) -> datetime | None:
    """End of payment grace, or None where there is none."""
    if facts.collection_method == "send_invoice":
        due = facts.invoice_due_at or facts.first_failed_at or facts.period_start
        return due + timedelta(days=facts.terms.grace_days) if due else None
    failed = facts.first_failed_at or facts.period_start
    if failed is None:
        return None
    # Who pays by the unit pays the first time after a month: nothing paid yet is a trial that failed to convert only
    # where there was a trial.
    converting = facts.trial_end is not None and facts.first_paid_at is None
    days = facts.terms.grace_days_after_trial if converting else facts.terms.grace_days
    return failed + timedelta(days=days) if days else None


def tolerance(facts: SubscriptionFacts) -> timedelta:
    """How long a paid period's silence is bridged: longer when Stripe could not be asked since it ended."""
    assert facts.period_end is not None
    asked_since = facts.synced_at is not None and facts.synced_at >= facts.period_end
    return LATE_NEWS if asked_since else NO_NEWS
