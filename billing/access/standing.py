"""Where one subscription stands: one function for each of Stripe's statuses, rows 5 to 20 of the table."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from billing.access import turning
from billing.access.facts import Decision, Level, SubscriptionFacts


def of(facts: SubscriptionFacts, *, now: datetime) -> Decision:
    """Rows 5–20 of the table for one subscription."""
    match facts.status:
        case "incomplete":
            return _free("incomplete")
        case "incomplete_expired":
            return _free("incomplete_expired", may_check_out=True)
        case "trialing":
            return _trialing(facts, now=now)
        case "active":
            return _active(facts, now=now)
        case "past_due":
            return _past_due(facts, now=now)
        case "unpaid":
            return _free("unpaid")
        case "canceled":
            return _free("canceled", may_check_out=True)
        case "paused":
            return _free("paused")
        case _:
            return _unknown(facts, now=now)


def _trialing(facts: SubscriptionFacts, *, now: datetime) -> Decision:
    if facts.ends_at is not None and now >= facts.ends_at:
        return _free("trial_ended")
    if facts.trial_end is None or now < facts.trial_end:
        return _full("trial_canceling" if facts.is_canceling else "trialing")
    # Stripe turns a trial over within the hour; the letter about it may be late.
    if now < facts.trial_end + turning.LATE_NEWS:
        return Decision(Level.GRACE, "trial_turning", False, grace_until=facts.trial_end + turning.LATE_NEWS)
    return replace(_free("trial_ended"), needs_staff=True)


def _active(facts: SubscriptionFacts, *, now: datetime) -> Decision:
    if facts.ends_at is not None and now >= facts.ends_at:
        return _free("ended", may_check_out=True)
    if facts.pause_collection and facts.paused_from is not None:
        return _paused(facts.paused_from, now=now)
    if facts.period_end is None or now < facts.period_end:
        if facts.pause_collection:
            return _full("collection_paused")
        return _full("canceling" if facts.is_canceling else "active")
    if now < facts.period_end + turning.tolerance(facts):
        return _full("renewing")
    return replace(_free("renewal_unseen"), needs_staff=True)


def _paused(since: datetime, *, now: datetime) -> Decision:
    """Paid for until `since`; from there nothing is charged, so nothing is had until Stripe says that it goes on."""
    return _full("pausing") if now < since else _free("on_pause")


def _past_due(facts: SubscriptionFacts, *, now: datetime) -> Decision:
    until = turning.grace_end(facts)
    if until is not None and now < until:
        return Decision(Level.GRACE, "past_due_in_grace", False, grace_until=until)
    return _free("past_due")


def _unknown(facts: SubscriptionFacts, *, now: datetime) -> Decision:
    since = facts.status_since
    if facts.last_known_status in KNOWN and since is not None and now < since + turning.UNKNOWN_STATUS:
        known = of(replace(facts, status=facts.last_known_status), now=now)
        return replace(known, may_check_out=False, needs_staff=True)
    return replace(_free("unknown_status"), needs_staff=True)


KNOWN = frozenset(
    ["incomplete", "incomplete_expired", "trialing", "active", "past_due", "unpaid", "canceled", "paused"]
)


def _full(reason: str) -> Decision:
    return Decision(Level.FULL, reason, may_check_out=False)


def _free(reason: str, *, may_check_out: bool = False) -> Decision:
    return Decision(Level.FREE, reason, may_check_out=may_check_out)
