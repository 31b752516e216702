"""Which ONE notice an account sees now, by priority. The words are templates: one for who can act, one for others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from billing import catalog, money, pricing
from billing.entitlements import Entitlements, facts_of
from billing.models import Customer, Payment, Subscription

# Highest first. The words are in templates/billing/notices/_admin_<kind>.html and _member_<kind>.html.
PRIORITY = (
    "blocked",
    "payment_failed",
    "payment_missing",
    "payment_unfinished",
    "payment_beside_grant",
    "trial_paused",
    "on_pause",
    "under_review",
    "seats_over",
    # More than an allowance that is used up: it says why, and who set it can raise it.
    "budget_reached",
    "allowance_exhausted",
    "canceling",
    "pausing",
    "allowance_low",
    "cheaper_plan",
    "trial",
)
TONES = {
    "blocked": "bad",
    "payment_failed": "bad",
    "payment_missing": "bad",
    "payment_unfinished": "bad",
    "payment_beside_grant": "warn",
    "trial_paused": "warn",
    "on_pause": "warn",
    "pausing": "info",
    "under_review": "warn",
    "seats_over": "warn",
    "allowance_exhausted": "warn",
    "budget_reached": "warn",
    "canceling": "warn",
    "allowance_low": "warn",
    "cheaper_plan": "info",
    "trial": "info",
}
# Time enough to agree on the next one.
CONTRACT_ENDS_SOON = timedelta(days=60)


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
    # Neither used nor left: held by work that is going on.
    held: int = 0
    limit: int = 0
    # What gives more of it: "plans", "credits", "budget" or "contact".
    helps: str = ""
    # Money in words: the budget; and what was spent beside the price of a plan that has it all.
    budget: str = ""
    spent: str = ""
    price: str = ""
    plan: str = ""
    # What is to be paid at `url`, in words; "" where it is not known.
    owed: str = ""
    # Whether there is something to charge when a trial is over.
    has_card: bool = True
    # Whether an invoice comes instead.
    by_invoice: bool = False

    @property
    def tone(self) -> str:
        return TONES[self.kind]


def of(rights: Entitlements) -> Notice | None:
    """The most pressing thing about what was bought, or None."""
    match rights.reason:
        case "suspended" | "dispute_lost":
            return Notice("blocked")
        case "granted":
            return _beside_grant(rights)
        case "unknown_status" | "renewal_unseen" | "dispute_open":
            return Notice("under_review")
    subscription = rights.subscription
    if subscription is None:
        return None
    return _payment(rights, subscription) or _review(rights, subscription) or _end(rights, subscription)


def _beside_grant(rights: Entitlements) -> Notice | None:
    """What staff gave stays, and a failing subscription beside it is still to be paid or ended."""
    if rights.subscription is None or rights.standing is None:
        return None
    if rights.standing.reason not in ("past_due_in_grace", "past_due", "unpaid"):
        return None
    subscription = rights.subscription
    return Notice("payment_beside_grant", url=subscription.open_invoice_url, owed=owed_by(subscription))


def _payment(rights: Entitlements, subscription: Subscription) -> Notice | None:
    pay, retry_at = subscription.open_invoice_url, subscription.next_payment_attempt_at
    match rights.reason:
        case "past_due_in_grace":
            owed = owed_by(subscription)
            return Notice("payment_failed", at=rights.grace_until, retry_at=retry_at, url=pay, owed=owed)
        case "past_due" | "unpaid":
            return Notice("payment_missing", retry_at=retry_at, url=pay, owed=owed_by(subscription))
        case "incomplete":
            return Notice("payment_unfinished", url=pay, owed=owed_by(subscription))
        case "paused":
            return _paused(subscription)
    return None


def _review(rights: Entitlements, subscription: Subscription) -> Notice | None:
    """A trial that was canceled and has just ended is no matter for staff; one that Stripe never turned over is."""
    return Notice("under_review") if subscription.needs_review or rights.decision.needs_staff else None


def _end(rights: Entitlements, subscription: Subscription) -> Notice | None:
    match rights.reason:
        case "canceling" | "trial_canceling":
            return _ending(rights, subscription)
        case "on_pause":
            return Notice("on_pause", at=subscription.goes_on_at)
        case "pausing":
            return Notice("pausing", at=subscription.paused_from, retry_at=subscription.goes_on_at)
        case "trialing":
            return Notice(
                "trial",
                at=subscription.trial_end,
                has_card=_has_card(subscription),
                by_invoice=subscription.collection_method == "send_invoice",
            )
    return None


def _paused(subscription: Subscription) -> Notice:
    """A trial that ended without a card. The button that makes somebody pay names the plan and its price."""
    plan = catalog.current().plans.get(subscription.plan_key)
    price = pricing.price_of(subscription)
    asks = f"{money.text(price.charge(subscription.quantity), price.currency)} a " if price else ""
    return Notice(
        "trial_paused",
        plan=plan.name if plan else subscription.plan_key,
        price=f"{asks}{money.period_phrase(price)}" if price and not price.meter else "",
        has_card=_has_card(subscription),
    )


def _has_card(subscription: Subscription) -> bool:
    customer = Customer.objects.filter(account=subscription.account_id).first()
    return customer is not None and customer.card_last4 != ""


def _ending(rights: Entitlements, subscription: Subscription) -> Notice | None:
    """A contract's last day is known from its first; it is a matter to speak of when it is near."""
    ends_at = facts_of(subscription).ends_at
    if subscription.is_fixed_term and ends_at is not None and rights.now < ends_at - CONTRACT_ENDS_SOON:
        return None
    return Notice("canceling", at=ends_at)


def owed_by(subscription: Subscription) -> str:
    """What Stripe's page of the open invoice asks for, in words; "" where it is not known."""
    payment = Payment.objects.filter(
        account=subscription.account_id, status="open", hosted_invoice_url=subscription.open_invoice_url
    ).first()
    if payment is None or not subscription.open_invoice_url:
        return ""
    return money.text(payment.amount_due - payment.amount_paid, payment.currency)


def first(candidates: Iterable[Notice | None]) -> Notice | None:
    """The most pressing of several."""
    given = [notice for notice in candidates if notice is not None]
    return min(given, key=lambda notice: PRIORITY.index(notice.kind), default=None)
