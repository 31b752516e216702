"""What became of the changes somebody confirmed, read from Stripe with everything else; only `sync` comes here."""

from __future__ import annotations

from datetime import datetime

from accounts.models import Account
from billing import catalog
from billing.changes import membership, telling
from billing.models import PlanChange
from billing.stripe import shapes
from billing.stripe.catalog_push.diff import PRICE_KEY
from billing.stripe.shapes import Doc
from billing.stripe.truth import Truth, is_live

NOT_CONFIRMED = "The payment was not confirmed in time."
NOT_MADE = "The change was not made."


def settle(truth: Truth, *, account: Account, now: datetime) -> None:
    """Write on every open change what Stripe says of it, and owe the messages. Inside the sync's transaction.

    `now` is the account's time.
    """
    found = {document["id"]: document for document in truth.subscriptions}
    for change in PlanChange.objects.filter(account=account).open().order_by("pk"):
        document = found.get(change.stripe_subscription_id)
        state = _state(change, document)
        if state != change.state:
            _write(change, state, now=now)
    membership.owe_if_behind(account, now=now)


def _state(change: PlanChange, document: Doc | None) -> str:
    if document is None or not is_live(dict(document)):
        return PlanChange.State.UNDONE if change.is_later else PlanChange.State.FAILED
    scheduled = shapes.id_of(document.get("schedule"))
    if change.state == PlanChange.State.SCHEDULED:
        if _has(document, change):
            return PlanChange.State.DONE
        still = scheduled == change.stripe_schedule_id
        return PlanChange.State.SCHEDULED if still else PlanChange.State.UNDONE
    if change.is_later:
        return (
            PlanChange.State.FAILED
        )  # a crash between Stripe's answer and our row: it would have its schedule
    if _has(document, change):
        return PlanChange.State.DONE
    if document.get("pending_update") and change.state == PlanChange.State.WAITING:
        return PlanChange.State.WAITING
    return PlanChange.State.FAILED


def _has(document: Doc, change: PlanChange) -> bool:
    """Whether the subscription is what the change wanted. A metered price has no quantity to compare."""
    price = catalog.current().find_price(change.to_price)
    for item in shapes.items(document):
        stripe_price = item["price"]
        names = (stripe_price.get("lookup_key"), (stripe_price.get("metadata") or {}).get(PRICE_KEY))
        if change.to_price in names:
            is_metered = price is not None and price.meter is not None
            return is_metered or item.get("quantity") == change.to_quantity
    return False


def _write(change: PlanChange, state: str, *, now: datetime) -> None:
    if state == PlanChange.State.FAILED and not change.failure:
        waited = change.state == PlanChange.State.WAITING
        change.failure = NOT_CONFIRMED if waited else NOT_MADE
    change.state = state
    change.finished_at = now
    change.save(update_fields=["state", "failure", "finished_at"])
    if state == PlanChange.State.DONE:
        telling.done(change, now=now)
