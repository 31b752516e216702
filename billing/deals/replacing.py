"""A running plan becomes what was offered: written down before the first word to Stripe, carried through or undone."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from accounts.models import Account
from billing import alerts
from billing.deals import agreed
from billing.lifecycle import schedules
from billing.lifecycle.lease import Held
from billing.lifecycle.projection import OFFER_KEY
from billing.models import Effect, Offer, PlanChange, Subscription
from billing.signals import subscription_about_to_change
from billing.stripe import gateway, shapes
from billing.stripe.shapes import Doc
from billing.stripe.truth import Truth, is_live

KIND = "offer_replaces"


class Refused(Exception):
    """Stripe would not make the change; the plan is as it was. The text is Stripe's."""


class Ended(Refused):
    """The plan it was to take the place of is over, so there is nothing left that it could replace."""


def replace(running: Doc, offer: Offer, price: str, *, held: Held, now: datetime) -> Doc:
    """The subscription the account has becomes the offered one, so there are never two or none.

    It takes Stripe two calls, of which the second may be refused or lost. So it is written down first how things were:
    what Stripe refuses is undone at once (Refused), what got lost is carried through by the next press or the next
    sync (`follow`). Raises LeaseLost and the gateway's errors. `now` is the account's time.
    """
    # What was used is billed with the change; if it cannot be, nothing has been touched yet.
    subscription_about_to_change.send(Subscription, account=offer.account, now=now)
    held.renew()
    with held.saving():
        effect, _ = Effect.objects.update_or_create(
            key=f"{KIND}:{offer.pk}",
            defaults={
                "kind": KIND,
                "account": offer.account,
                "created_at": now,
                "done_at": None,
                "detail": {"offer": offer.pk, "price": price, "before": _as_it_is(running)},
            },
        )
        PlanChange.objects.filter(account=offer.account, state=PlanChange.State.SCHEDULED).update(
            state=PlanChange.State.SET_ASIDE
        )
    return _carry(effect, offer, held=held, now=now)


def follow(truth: Truth, *, account: Account, held: Held, now: datetime) -> bool:
    """Carry through what was accepted and got lost on the way. Answers True when something was done: then ask anew.

    What was withdrawn meanwhile, or Stripe refuses, is undone, and staff are told. Raises LeaseLost and the gateway's
    errors: then it stays owed.
    """
    owed = list(Effect.objects.filter(account=account, kind=KIND, done_at__isnull=True).order_by("pk"))
    for effect in owed:
        offer = Offer.objects.get(pk=effect.detail["offer"])
        held.renew()
        try:
            if offer.state == Offer.State.WITHDRAWN:
                _undo(effect, "It was taken back.", held=held, now=now)
            else:
                _carry(effect, offer, held=held, now=now)
        except Ended:
            alerts.raise_alert(
                key=effect.key,
                kind="offer_refused",
                message=f"{account} accepted the offer {offer.pk}, and the plan that it was to take the place of had "
                "ended before it could. Nothing was charged for it, and the offer is open still: accepted once more, "
                "it begins a plan of its own. Talk to the customer.",
                account=account,
                now=now,
            )
        except Refused as refusal:
            alerts.raise_alert(
                key=effect.key,
                kind="offer_refused",
                message=f"{account} accepted the offer {offer.pk}, and Stripe refused it: {refusal} The plan is as it "
                "was and the offer is open still. Talk to the customer.",
                account=account,
                now=now,
            )
    return bool(owed)


def _as_it_is(running: Doc) -> dict[str, Any]:
    by_invoice = running["collection_method"] == "send_invoice"
    return {
        "subscription": running["id"],
        "collection_method": running["collection_method"],
        **({"days_until_due": running["days_until_due"]} if by_invoice else {}),
        "cancel_at_period_end": running["cancel_at_period_end"],
        "cancel_at": None if running["cancel_at_period_end"] else running["cancel_at"],
    }


def _carry(effect: Effect, offer: Offer, *, held: Held, now: datetime) -> Doc:
    before = effect.detail["before"]
    running = gateway.get(f"/v1/subscriptions/{before['subscription']}")
    if (running["metadata"] or {}).get(OFFER_KEY) == str(offer.pk):
        _done(effect, "carried through", held=held, now=now)  # an earlier try did it, and its answer was lost
        return running
    if effect.detail.get("refused"):
        _undo(effect, effect.detail["refused"], held=held, now=now)
        raise Refused(effect.detail["refused"])
    if not is_live(running):
        _done(effect, "the plan had ended", held=held, now=now)
        raise Ended("The plan had ended meanwhile.")
    path = f"/v1/subscriptions/{running['id']}"
    try:
        schedules.let_go(held, running["id"])
        # First how it is paid, so that no card is charged for what an invoice was agreed for.
        gateway.post(
            path,
            {"collection_method": "send_invoice", "days_until_due": offer.days_until_due} | _goes_on(running),
            idempotency_key=f"offer_on:{offer.pk}:{held.token}",
        )
        held.renew()
        became = gateway.post(
            path,
            _wanted(running, offer, effect.detail["price"], now=now),
            idempotency_key=f"offer:{offer.pk}:{held.token}",
        )
    except (gateway.InvalidRequest, gateway.CardDeclined) as refusal:
        _undo(effect, refusal.message, held=held, now=now)
        raise Refused(refusal.message) from None
    _done(effect, "carried through", held=held, now=now)
    return became


def _goes_on(running: Doc) -> dict[str, Any]:
    """At Stripe the two ways to end exclude each other, and either is over with the new contract."""
    if running["cancel_at_period_end"]:
        return {"cancel_at_period_end": False}
    return {"cancel_at": ""} if running["cancel_at"] else {}


def _wanted(running: Doc, offer: Offer, price: str, *, now: datetime) -> dict[str, Any]:
    items = shapes.items(running)
    paid_until = shapes.item_period(items[0], running)[1]
    renews = _is_renewal(running, items, offer) and paid_until is not None
    how: dict[str, Any] = (
        {"proration_behavior": "none"}
        if renews
        else {"proration_behavior": "always_invoice", "billing_cycle_anchor": "now", "trial_end": "now"}
    )
    return {
        "items": [
            {"id": items[0]["id"], "price": price, "quantity": offer.seats},
            *({"id": item["id"], "deleted": True} for item in items[1:]),
        ],
        **how,
        **agreed.ends(offer, paid_until if renews and paid_until else now),
        **agreed.payment(offer),
    }


def _is_renewal(running: Doc, items: list[Any], offer: Offer) -> bool:
    """The next contract of a customer who has one: same rhythm, already paid by invoice."""
    recurring = items[0]["price"]["recurring"] or {}
    return (
        bool((running["metadata"] or {}).get(OFFER_KEY))
        and running["status"] == "active"
        and len(items) == 1
        and (recurring.get("interval"), recurring.get("interval_count"))
        == (offer.interval, agreed.price(offer).interval_count)
    )


def _undo(effect: Effect, why: str, *, held: Held, now: datetime) -> None:
    """How it is paid and when it ends are as before; what was planned is planned again by the sync after this."""
    before = effect.detail["before"]
    held.renew()
    with held.saving():
        effect.detail = {**effect.detail, "refused": why[:300]}
        effect.save(update_fields=["detail"])
    found = gateway.get(f"/v1/subscriptions/{before['subscription']}")
    if is_live(found) and _as_it_is(found) != before:
        asked = {name: before[name] for name in ("collection_method", "days_until_due") if before.get(name)}
        if before["cancel_at_period_end"]:
            asked["cancel_at_period_end"] = True
        elif before["cancel_at"]:
            asked["cancel_at"] = before["cancel_at"]
        gateway.post(
            f"/v1/subscriptions/{before['subscription']}",
            asked,
            idempotency_key=f"offer_off:{effect.detail['offer']}:{held.token}",
        )
    _done(effect, "undone", held=held, now=now)


def _done(effect: Effect, became: str, *, held: Held, now: datetime) -> None:
    held.renew()
    with held.saving():
        Effect.objects.filter(pk=effect.pk).update(done_at=now, detail={**effect.detail, "became": became})
