"""What an account may do now: its plan, as Stripe's subscriptions, staff's grants and the clock leave it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from accounts.models import Account
from billing import access, catalog, currencies
from billing.access import Decision, GrantFacts, Level, SubscriptionFacts, Terms
from billing.catalog import Allowance, Catalog, Plan
from billing.models import Customer, PlanGrant, Subscription


@dataclass(frozen=True)
class Entitlements:
    """One account's rights at one moment. `plan` is the plan in force: the default plan when nothing bought counts.

    `anchor` is the fixed point usage windows are counted from. `stamp` names what this was computed from (catalog and
    `access_version`); with `valid_until` it tells a counter how long it may be trusted. `currency` is what the prices
    of `plans` are in, and so what its metered units cost (`billing.currencies`).
    """

    account: Account
    plan: Plan
    plans: tuple[Plan, ...]
    decision: Decision
    subscription: Subscription | None
    grant: PlanGrant | None
    anchor: datetime
    seats: int
    currency: str
    stamp: str
    # The account's time this was decided at.
    now: datetime

    @property
    def level(self) -> Level:
        return self.decision.level

    @property
    def reason(self) -> str:
        return self.decision.reason

    @property
    def valid_until(self) -> datetime | None:
        return self.decision.valid_until

    @property
    def grace_until(self) -> datetime | None:
        return self.decision.grace_until

    @property
    def may_check_out(self) -> bool:
        return self.decision.may_check_out

    @property
    def is_blocked(self) -> bool:
        return self.level == Level.BLOCKED

    @property
    def standing(self) -> Decision | None:
        """What the subscription alone gives, without grants and holds: its payments and its end are told by this."""
        return _standing(self.subscription, now=self.now) if self.subscription is not None else None

    @property
    def pays_by_use(self) -> bool:
        """Whether the subscription charges units after the fact, so that its last sum is not known before."""
        return self.subscription is not None and any(
            item.is_metered for item in self.subscription.items.all()
        )

    def includes(self, switch: str) -> bool:
        """Whether a switch (`sso`, `api_access`) is on."""
        return not self.is_blocked and any(switch in plan.switches for plan in self.plans)

    def limit(self, feature: str) -> int | None:
        """A standing maximum: None is unlimited, 0 is none at all (also when the plan does not speak of it)."""
        return self._sum(feature, (plan.limits for plan in self.plans))

    def allowance(self, feature: str) -> Allowance | None:
        """What comes back each day, week or month; None when the plan grants none of it."""
        if self.is_blocked:
            return None
        granted = [plan.allowances[feature] for plan in self.plans if feature in plan.allowances]
        if not granted:
            return self._allowance_of_the_deal(feature)
        per = granted[0].per
        quantity = self._sum(
            feature, ({feature: allowance.quantity} for allowance in granted if allowance.per == per)
        )
        return Allowance(
            feature=feature,
            quantity=quantity,
            per=per,
            # Of several plans the first that has them says how what is left, or missing, is treated.
            rollover=next((allowance.rollover for allowance in granted if allowance.rollover), None),
            forgive=max(allowance.forgive for allowance in granted),
        )

    def is_metered(self, feature: str) -> bool:
        """Whether units are billed after the fact: all, or those beyond what the plan includes (`allowance`)."""
        return not self.is_blocked and any(feature in plan.metered for plan in self.plans)

    @property
    def _deal(self) -> dict[str, int | None]:
        """The numbers agreed with this account, while the grant or the contract that says so is what counts."""
        if self.grant is not None:
            return dict(self.grant.overrides)
        has_contract = self.subscription is not None and self.level > Level.FREE
        offer = self.subscription.offer if self.subscription is not None and has_contract else None
        return dict(offer.overrides) if offer is not None else {}

    def _allowance_of_the_deal(self, feature: str) -> Allowance | None:
        """A deal may give what its plan does not speak of: so many a month."""
        known = catalog.current().features.get(feature)
        if feature not in self._deal or known is None or known.kind != "allowance":
            return None
        return Allowance(feature=feature, quantity=self._deal[feature], per="month")

    def _sum(self, feature: str, grants: Iterable[dict[str, int | None]]) -> int | None:
        """Features of several items add up; unlimited beats any number; a deal's own number beats both."""
        if self.is_blocked:
            return 0
        if feature in self._deal:
            return self._deal[feature]
        total = 0
        for granted in grants:
            if feature in granted:
                quantity = granted[feature]
                if quantity is None:
                    return None
                total += quantity
        return total


def of(account: Account, *, now: datetime) -> Entitlements:
    """What `account` may do at `now` (the account's time: `clock.now(account)`). Reads only.

    The customer row is read first: a change committed while the rest is read then leaves an older stamp, and whoever
    kept this answer will ask again.
    """
    return _of(account, now=now)


def beneath_a_hold(account: Account, *, now: datetime) -> Entitlements:
    """What `account` had if it were not on hold: for pages that tell what was used and what it costs, never to let
    somebody use more.
    """
    return _of(account, now=now, looks_past_a_hold=True)


def _of(account: Account, *, now: datetime, looks_past_a_hold: bool = False) -> Entitlements:
    prices = catalog.current()
    customer = Customer.objects.filter(account=account).first()
    found = Subscription.objects.live().filter(account=account).select_related("offer")
    subscriptions = list(found.prefetch_related("items"))
    grants = list(PlanGrant.objects.filter(account=account, revoked_at__isnull=True))

    decision = access.decide(
        subscriptions=[facts_of(subscription) for subscription in subscriptions],
        grants=[_facts_of_grant(grant) for grant in grants],
        suspended=customer is not None and customer.suspended_at is not None and not looks_past_a_hold,
        dispute=customer.dispute_state if customer and not looks_past_a_hold else "",
        free_while_disputed=settings.STRIPE_DOWNGRADE_ON_DISPUTE,
        now=now,
    )
    subscription = subscriptions[decision.subscription] if decision.subscription is not None else None
    grant = grants[decision.grant] if decision.grant is not None else None
    theirs = currencies.price_list(subscription, customer)
    plans = _plans(decision, subscription, grant, known=theirs)
    return Entitlements(
        account=account,
        plan=plans[0],
        plans=plans,
        decision=decision,
        subscription=subscription,
        grant=grant,
        anchor=_anchor(account, decision, subscription, grant),
        seats=_seats(decision, subscription, now=now),
        currency=theirs.currency,
        stamp=f"{prices.fingerprint}:{customer.access_version if customer else 0}",
        now=now,
    )


def facts_of(subscription: Subscription) -> SubscriptionFacts:
    """A subscription row as the decision sees it."""
    plan = catalog.current().plans.get(subscription.plan_key)
    return SubscriptionFacts(
        status=subscription.status,
        terms=Terms(grace_days=plan.grace_days if plan else 0),
        rank=plan.rank if plan else 0,
        period_start=subscription.current_period_start,
        period_end=subscription.current_period_end,
        trial_end=subscription.trial_end,
        cancel_at_period_end=subscription.cancel_at_period_end,
        cancel_at=subscription.cancel_at,
        pause_collection=subscription.pause_collection,
        paused_from=subscription.paused_from,
        collection_method=subscription.collection_method,
        first_failed_at=subscription.first_failed_at,
        first_paid_at=subscription.first_paid_at,
        invoice_due_at=subscription.open_invoice_due_at,
        synced_at=subscription.synced_at,
        status_since=subscription.status_since,
        last_known_status=subscription.last_known_status,
    )


def _facts_of_grant(grant: PlanGrant) -> GrantFacts:
    plan = catalog.current().plans.get(grant.plan_key)
    return GrantFacts(starts_at=grant.starts_at, until=grant.until, rank=plan.rank if plan else 0)


def _plans(
    decision: Decision, subscription: Subscription | None, grant: PlanGrant | None, *, known: Catalog
) -> tuple[Plan, ...]:
    """The plans whose features count, the one that names the account first."""
    if decision.level <= Level.FREE:
        return (known.default_plan,)
    if grant is not None:
        keys = [grant.plan_key]
    else:
        assert subscription is not None
        keys = [subscription.plan_key, *(item.plan_key for item in subscription.items.all())]
    # The catalog keeps retired plans (its check says so); a key it lost is flagged by sync and grants nothing here.
    return tuple(known.plans[key] for key in dict.fromkeys(keys) if key in known.plans) or (
        known.default_plan,
    )


def _seats(decision: Decision, subscription: Subscription | None, *, now: datetime) -> int:
    """The seats that are paid for: a plan given by staff does not turn seats that are off on again."""
    if subscription is None or decision.level < Level.GRACE:
        return 1
    if decision.grant is None or _standing(subscription, now=now).level >= Level.GRACE:
        return subscription.quantity
    return 1


def _standing(subscription: Subscription, *, now: datetime) -> Decision:
    return access.decide(subscriptions=[facts_of(subscription)], now=now)


def _anchor(
    account: Account, decision: Decision, subscription: Subscription | None, grant: PlanGrant | None
) -> datetime:
    if decision.level <= Level.FREE:
        return account.created_at
    if grant is not None:
        return grant.starts_at
    assert subscription is not None
    return subscription.billing_cycle_anchor
