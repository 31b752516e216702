"""The rows above and below the statuses: what staff and banks decided, what was granted, the best of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from billing.access import standing, turning
from billing.access.facts import Decision, GrantFacts, Level, SubscriptionFacts


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
    standings = [standing.of(facts, now=now) for facts in subscriptions]
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
    may_check_out = all(one.may_check_out for one in standings)
    crowded = sum(not one.may_check_out for one in standings) > 1
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
        valid_until=min((at for at in turning.points(subscriptions, grants) if at > now), default=None),
        needs_staff=answer.needs_staff or crowded,
    )


def _best(standings: Sequence[Decision], subscriptions: Sequence[SubscriptionFacts]) -> int | None:
    """Highest level, then highest plan; among equals the first."""
    order = sorted(range(len(standings)), key=lambda i: (-standings[i].level, -subscriptions[i].rank, i))
    return order[0] if order else None


def _best_grant(grants: Sequence[GrantFacts], *, now: datetime) -> int | None:
    valid = [i for i, grant in enumerate(grants) if grant.is_valid(now)]
    return max(valid, key=lambda i: (grants[i].rank, -i)) if valid else None
