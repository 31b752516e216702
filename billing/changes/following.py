"""What became of the changes somebody confirmed, read from Stripe with everything else; only `sync` comes here."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.db.models import F

from accounts.models import Account
from billing import alerts
from billing.changes import membership, planned, telling, waiting
from billing.changes.planned import Planned
from billing.models import Customer, PlanChange, Subscription
from billing.stripe.shapes import Doc
from billing.stripe.truth import Truth, is_live

NOT_CONFIRMED = "The payment was not confirmed in time."
NOT_CONFIRMED_YET = "The payment was not confirmed."
NOT_MADE = "The change was not made."


def settle(truth: Truth, *, account: Account, now: datetime) -> None:
    """Write on every open change what Stripe says of it, and owe the messages. Inside the sync's transaction.

    What Stripe has planned and no change of ours speaks of (a crash lost it, or it was made in the Dashboard) becomes
    one, so that the page shows it and takes it back. `now` is the account's time.
    """
    found = {document["id"]: document for document in truth.subscriptions}
    coming = {
        document["id"]: ahead
        for document in truth.live()
        if (ahead := planned.read(truth.schedules.get(document["id"]), document)) is not None
    }
    for change in PlanChange.objects.filter(account=account).open().order_by("pk"):
        name = change.stripe_subscription_id
        state = _state(change, found.get(name), coming.get(name))
        if state != change.state:
            _write(change, state, coming.get(name), now=now)
        elif state == PlanChange.State.WAITING:
            _note_refusal(change, truth.intents.get(change.stripe_invoice_id))
    for name, ahead in coming.items():
        _adopt(name, ahead, account=account, now=now)
    membership.owe_if_behind(account, now=now)


def _state(change: PlanChange, document: Doc | None, coming: Planned | None) -> str:
    if document is None:
        return PlanChange.State.UNDONE if change.is_later else PlanChange.State.FAILED
    if not is_live(dict(document)):
        is_waiting = change.state == PlanChange.State.WAITING
        if is_waiting and planned.has(document, change.to_price, change.to_quantity):
            return PlanChange.State.DONE  # paid in the last moment, and over after that
        return PlanChange.State.UNDONE if change.is_later else PlanChange.State.FAILED
    if change.is_later:
        return _state_of_later(change, document, coming)
    if planned.has(document, change.to_price, change.to_quantity):
        return PlanChange.State.DONE
    if document.get("pending_update") and change.state == PlanChange.State.WAITING:
        return PlanChange.State.WAITING
    return PlanChange.State.FAILED


def _state_of_later(change: PlanChange, document: Doc, coming: Planned | None) -> str:
    if coming is not None and coming.is_of(change):
        return PlanChange.State.SCHEDULED
    if change.state == PlanChange.State.SET_ASIDE:
        # Until what took its place is done, or it is put back; never where the plan does not go on.
        return PlanChange.State.SET_ASIDE if waiting.goes_on(document) else PlanChange.State.UNDONE
    if planned.has(document, change.to_price, change.to_quantity):
        return PlanChange.State.DONE
    return PlanChange.State.UNDONE if change.state == PlanChange.State.SCHEDULED else PlanChange.State.FAILED


def _write(change: PlanChange, state: str, coming: Planned | None, *, now: datetime) -> None:
    if state == PlanChange.State.SCHEDULED:
        assert coming is not None
        change.state, change.stripe_schedule_id = state, coming.schedule_id
        change.save(update_fields=["state", "stripe_schedule_id"])
        telling.scheduled(change, now=now)
        return
    if change.failure == PlanChange.CALLED_OFF:
        # Unless it was paid in that very moment.
        state = PlanChange.State.UNDONE if state == PlanChange.State.FAILED else state
        change.failure = ""
    elif state == PlanChange.State.FAILED and not change.failure:
        waited = change.state == PlanChange.State.WAITING
        change.failure = NOT_CONFIRMED if waited else NOT_MADE
    if state == PlanChange.State.DONE:
        change.failure = ""
    change.state = state
    change.finished_at = now
    change.save(update_fields=["state", "failure", "finished_at"])
    if change.is_later:
        if state == PlanChange.State.DONE:
            telling.done(change, now=now)
        else:
            telling.overtaken(change, now=now)
        return
    aside = PlanChange.objects.filter(account=change.account, state=PlanChange.State.SET_ASIDE)
    gave_way = aside.order_by("-pk").first()
    if state == PlanChange.State.DONE:
        # It takes the place of what was planned.
        aside.update(state=PlanChange.State.UNDONE, finished_at=now)
        if gave_way is not None:
            telling.overtaken(gave_way, now=now)
        telling.done(change, now=now, gave_way=gave_way)
    elif gave_way is not None:
        # To be planned again, by the sync that is asked for.
        Customer.objects.filter(pk=change.account_id).update(sync_wanted=F("sync_wanted") + 1)


def _note_refusal(change: PlanChange, intent: Doc | None) -> None:
    """The bank said no, or was not answered; it may be tried again as long as the change waits."""
    if intent is None:
        return
    refusal = intent.get("last_payment_error") or {}
    is_refused = intent["status"] == "requires_payment_method"
    failure = (refusal.get("message") or NOT_CONFIRMED_YET)[:300] if is_refused else ""
    if failure != change.failure:
        change.failure = failure
        change.save(update_fields=["failure"])


def _adopt(subscription_id: str, coming: Planned, *, account: Account, now: datetime) -> None:
    """Something is planned at Stripe that no change of ours speaks of."""
    mine = PlanChange.objects.filter(account=account, state=PlanChange.State.SCHEDULED)
    if any(coming.is_of(change) for change in mine):
        return
    row = Subscription.objects.filter(stripe_subscription_id=subscription_id, is_live=True).first()
    if coming.price is None or row is None:
        alerts.raise_alert(
            key=f"unknown_schedule:{coming.schedule_id}",
            kind="unknown_schedule",
            message=f"Stripe will change the plan of {account} on {coming.at:%-d %B %Y} by {coming.schedule_id} to a "
            "price the catalog does not know, so the page cannot name it. Add the price, or release the schedule.",
            account=account,
            now=now,
        )
        return
    price, is_known = coming.price.in_currency(row.currency), coming.price.is_sold_in(row.currency)
    change = PlanChange.objects.create(
        account=account,
        nonce=uuid.uuid4().hex,
        state=PlanChange.State.SCHEDULED,
        is_later=True,
        stripe_subscription_id=subscription_id,
        stripe_schedule_id=coming.schedule_id,
        from_plan_key=row.plan_key,
        from_price=row.price_lookup_key,
        from_quantity=row.quantity,
        to_plan_key=price.plan_key,
        to_price=price.lookup_key,
        to_quantity=coming.quantity,
        shown_amount=0,
        shown_recurring=None if price.meter or not is_known else price.charge(coming.quantity),
        currency=row.currency,
        takes_effect_at=coming.at,
        created_at=now,
    )
    telling.scheduled(change, now=now)
