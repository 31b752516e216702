"""Who may what, and until when: one pure function over what Stripe said, what staff granted and the time.

The table it implements, top to bottom, first match wins (per subscription; of several the best counts, never a sum):

 1  suspended by staff, or a dispute lost                    BLOCKED
 2  a valid grant (comped, grandfathered, enterprise)        FULL
 4  no subscription                                          FREE, may check out
 5  incomplete                                               FREE, finish the open payment first
 6  incomplete_expired                                       FREE, may check out
 7  trialing, before trial_end                               FULL (also when it will not renew)
 8  trialing, after trial_end                                canceling: FREE; else GRACE for a day, then FREE
 9  active, before period_end                                FULL
10  active, after its end, canceling                         FREE at once
11  active, after period_end, not canceling                  FULL a day (three if Stripe could not be asked since)
12  active with paused collection                            FULL: https://docs.stripe.com/billing/subscriptions/pause-payment
    ... when the customer asked for it                       FULL until what is paid for is over, then FREE
13  past_due, had a trial and never paid since              FREE
14  past_due, within payment grace of the first failure      GRACE
15  past_due, after it                                       FREE
16  past_due, paid by invoice                                GRACE until the due date plus grace, then FREE
17  unpaid                                                   FREE, pay the open invoice
18  canceled                                                 FREE, may check out
19  paused (trial ended without a card)                      FREE, add a card
20  any other word (Stripe's enum is open)                   as the last known status for a day, then FREE
22  a dispute is open                                        by policy: as above (default) or FREE
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

# A renewal is invoiced at once but paid up to an hour later, and letters may be late: do not cut anyone off for that.
LATE_NEWS = timedelta(hours=24)
# Stripe retries its letters for three days; so long an outage of theirs or ours costs no customer their access.
NO_NEWS = timedelta(hours=72)
UNKNOWN_STATUS = timedelta(hours=24)


class Level(enum.IntEnum):
    """How much of the plan an account has; ordered, so that the best of several can be taken."""

    BLOCKED = 0  # may read and export its own data
    FREE = 1  # the default plan
    GRACE = 2  # everything bought, with a dated notice
    FULL = 3


@dataclass(frozen=True)
class Terms:
    """What the plan says about late payment. `grace_days` counts from the first failure, not from retries."""

    grace_days: int
    grace_days_after_trial: int = 0


@dataclass(frozen=True)
class SubscriptionFacts:
    """What the decision needs of one subscription; all times aware, in the account's time."""

    status: str
    terms: Terms
    rank: int = 0
    period_start: datetime | None = None
    period_end: datetime | None = None
    trial_end: datetime | None = None
    cancel_at_period_end: bool = False
    cancel_at: datetime | None = None
    pause_collection: str = ""
    # From when a pause counts that the customer asked for; one without such a date costs no access.
    paused_from: datetime | None = None
    collection_method: str = "charge_automatically"
    first_failed_at: datetime | None = None
    first_paid_at: datetime | None = None
    invoice_due_at: datetime | None = None
    synced_at: datetime | None = None
    status_since: datetime | None = None
    last_known_status: str = ""

    @property
    def is_canceling(self) -> bool:
        return self.cancel_at_period_end or self.cancel_at is not None

    @property
    def ends_at(self) -> datetime | None:
        """When it ends by itself, if it does."""
        if self.cancel_at is not None:
            return self.cancel_at
        if not self.cancel_at_period_end:
            return None
        return self.trial_end if self.status == "trialing" else self.period_end


@dataclass(frozen=True)
class GrantFacts:
    """A plan given by staff, valid in [starts_at, until)."""

    starts_at: datetime
    until: datetime | None = None
    revoked: bool = False
    rank: int = 0

    def is_valid(self, now: datetime) -> bool:
        return not self.revoked and self.starts_at <= now and (self.until is None or now < self.until)


@dataclass(frozen=True)
class Decision:
    """The answer. `subscription`/`grant` are positions in what was given: what was bought, and what gives the rights.

    `reason` is a stable word for notices and the API. `valid_until`: the answer cannot change by the clock before it.
    """

    level: Level
    reason: str
    may_check_out: bool
    subscription: int | None = None
    grant: int | None = None
    grace_until: datetime | None = None
    valid_until: datetime | None = None
    needs_staff: bool = False


def decide(
    *,
    subscriptions: Sequence[SubscriptionFacts],
    grants: Sequence[GrantFacts] = (),
    suspended: bool = False,
    dispute: str = "",
    free_while_disputed: bool = False,
    now: datetime,
) -> Decision:
    """Decide an account's access at `now` (aware; the account's time).

    `subscriptions` are its live ones (more than one is an error of ours that staff must see); ended ones may be given
    and count as `canceled`. `dispute` is "", "open" or "lost"; `free_while_disputed` is STRIPE_DOWNGRADE_ON_DISPUTE.
    """
    standings = [_standing(facts, now=now) for facts in subscriptions]
    if suspended or dispute == "lost":
        # What runs is still shown and may be canceled: of who is suspended it goes on charging, after a lost dispute it
        # ends (billing.lifecycle.lost_disputes).
        reason = "suspended" if suspended else "dispute_lost"
        bought = _best(standings, subscriptions)
        return Decision(Level.BLOCKED, reason, may_check_out=False, subscription=bought)

    if dispute == "open" and free_while_disputed:
        standings = [
            replace(s, level=Level.FREE, reason="dispute_open", grace_until=None)
            if s.level > Level.FREE
            else s
            for s in standings
        ]
    may_check_out = all(standing.may_check_out for standing in standings)
    crowded = sum(not standing.may_check_out for standing in standings) > 1
    best = _best(standings, subscriptions)
    grant = _best_grant(grants, now=now)

    if grant is not None and (
        best is None or standings[best].level <= Level.FREE or grants[grant].rank >= subscriptions[best].rank
    ):
        answer = Decision(Level.FULL, "granted", may_check_out=may_check_out, grant=grant, subscription=best)
    elif best is None:
        answer = Decision(Level.FREE, "no_subscription", may_check_out=True)
    else:
        answer = replace(standings[best], may_check_out=may_check_out, subscription=best)
    return replace(
        answer,
        valid_until=min((at for at in _turning_points(subscriptions, grants) if at > now), default=None),
        needs_staff=answer.needs_staff or crowded,
    )


def _standing(facts: SubscriptionFacts, *, now: datetime) -> Decision:
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
    if now < facts.trial_end + LATE_NEWS:
        return Decision(Level.GRACE, "trial_turning", False, grace_until=facts.trial_end + LATE_NEWS)
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
    if now < facts.period_end + _tolerance(facts):
        return _full("renewing")
    return replace(_free("renewal_unseen"), needs_staff=True)


def _paused(since: datetime, *, now: datetime) -> Decision:
    """Paid for until `since`; from there nothing is charged, so nothing is had until Stripe says that it goes on."""
    return _full("pausing") if now < since else _free("on_pause")


def _past_due(facts: SubscriptionFacts, *, now: datetime) -> Decision:
    until = _grace_end(facts)
    if until is not None and now < until:
        return Decision(Level.GRACE, "past_due_in_grace", False, grace_until=until)
    return _free("past_due")


def _unknown(facts: SubscriptionFacts, *, now: datetime) -> Decision:
    since = facts.status_since
    if facts.last_known_status in KNOWN and since is not None and now < since + UNKNOWN_STATUS:
        known = _standing(replace(facts, status=facts.last_known_status), now=now)
        return replace(known, may_check_out=False, needs_staff=True)
    return replace(_free("unknown_status"), needs_staff=True)


KNOWN = frozenset(
    ["incomplete", "incomplete_expired", "trialing", "active", "past_due", "unpaid", "canceled", "paused"]
)


def _grace_end(facts: SubscriptionFacts) -> datetime | None:
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


def _tolerance(facts: SubscriptionFacts) -> timedelta:
    """How long a paid period's silence is bridged: longer when Stripe could not be asked since it ended."""
    assert facts.period_end is not None
    asked_since = facts.synced_at is not None and facts.synced_at >= facts.period_end
    return LATE_NEWS if asked_since else NO_NEWS


def _turning_points(
    subscriptions: Sequence[SubscriptionFacts], grants: Sequence[GrantFacts]
) -> Iterator[datetime]:
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
        for at in (facts.cancel_at, _grace_end(facts), facts.paused_from):
            if at is not None:
                yield at
    for grant in grants:
        if not grant.revoked:
            yield grant.starts_at
            if grant.until is not None:
                yield grant.until


def _best(standings: Sequence[Decision], subscriptions: Sequence[SubscriptionFacts]) -> int | None:
    """Highest level, then highest plan; among equals the first."""
    order = sorted(range(len(standings)), key=lambda i: (-standings[i].level, -subscriptions[i].rank, i))
    return order[0] if order else None


def _best_grant(grants: Sequence[GrantFacts], *, now: datetime) -> int | None:
    valid = [i for i, grant in enumerate(grants) if grant.is_valid(now)]
    return max(valid, key=lambda i: (grants[i].rank, -i)) if valid else None


def _full(reason: str) -> Decision:
    return Decision(Level.FULL, reason, may_check_out=False)


def _free(reason: str, *, may_check_out: bool = False) -> Decision:
    return Decision(Level.FREE, reason, may_check_out=may_check_out)
