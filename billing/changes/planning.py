"""Less than before, at the end of what is paid for: a schedule at Stripe, put back when what took its place failed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from accounts.models import Account
from billing import alerts, catalog
from billing.changes import planned, request, telling, waiting
from billing.changes.refusals import ChangeRefused
from billing.changes.wishes import Wish
from billing.lifecycle import archived, customers, schedules
from billing.lifecycle.lease import Held
from billing.lifecycle.projection import OFFER_KEY
from billing.models import PlanChange, Subscription
from billing.stripe import gateway, shapes
from billing.stripe.shapes import Doc
from billing.stripe.truth import Truth


def schedule(change: PlanChange, wish: Wish, ids: dict[str, str], *, held: Held, now: datetime) -> None:
    """Let Stripe make the change when the period ends, under the account's lease. `change` becomes SCHEDULED.

    What was scheduled before is replaced. `now` is the account's time. Raises LeaseLost and the gateway's errors.
    https://docs.stripe.com/billing/subscriptions/subscription-schedules/use-cases#downgrading-subscriptions
    """
    name = change.stripe_subscription_id
    schedules.let_go(held, name)
    # The lease's token is committed and never comes again: what was let go of and is put back is another schedule.
    made = gateway.post(
        "/v1/subscription_schedules",
        {"from_subscription": name},
        idempotency_key=f"schedule:{change.nonce}:{held.token}",
    )
    held.renew()
    phases = [_running(made["phases"][0]), _next(wish, ids, made["phases"][0])]
    # Who bought before a price rose says its old price again, which is not for sale any more.
    with archived.usable(item["price"] for phase in phases for item in phase["items"]):
        held.renew()
        gateway.post(
            f"/v1/subscription_schedules/{made['id']}",
            {
                "end_behavior": "release",
                # By the nonce a sync finds it again when the answer never reached our row.
                "metadata": {
                    customers.ACCOUNT_KEY: str(change.account_id),
                    planned.CHANGE_KEY: change.nonce,
                },
                "phases": phases,
            },
            idempotency_key=f"phases:{change.nonce}:{held.token}",
        )
    with held.saving():
        others = PlanChange.objects.filter(account=held.account).planned().exclude(pk=change.pk)
        for other in others:
            telling.overtaken(other, now=now)
        others.update(state=PlanChange.State.UNDONE, finished_at=now)
        change.state, change.stripe_schedule_id = PlanChange.State.SCHEDULED, made["id"]
        # What is put back may have missed the end it was planned for.
        change.takes_effect_at = shapes.known_moment(phases[0]["end_date"])
        change.save(update_fields=["state", "stripe_schedule_id", "takes_effect_at"])
        telling.scheduled(change, now=now)


def put_back(truth: Truth, *, account: Account, held: Held, now: datetime) -> bool:
    """Plan again what was set aside for a change at once that did not come about. Answers True when something was
    done: then ask anew.

    Not while that change may still be paid, nor on a plan that ends or pauses. What cannot be planned any more (the
    plan is another one by now) is taken back and told. Raises LeaseLost and the gateway's errors.
    """
    mine = PlanChange.objects.filter(account=account)
    aside = mine.filter(state=PlanChange.State.SET_ASIDE).order_by("-pk").first()
    is_open = mine.filter(state__in=[PlanChange.State.STARTED, PlanChange.State.WAITING]).exists()
    if aside is None or is_open:
        return False
    found = next((one for one in truth.live() if one["id"] == aside.stripe_subscription_id), None)
    if planned.is_still_there(aside, truth):
        return False  # it was never let go of; the projection says so
    if not waiting.goes_on(found):
        return False  # nor will it be again; the projection says that, too
    wish = _wish_again(aside, found)
    if wish is None:
        _give_up(aside, "", held=held, now=now)
        return True
    try:
        schedule(aside, wish, request.price_ids(wish, now=now), held=held, now=now)
    except (ChangeRefused, gateway.InvalidRequest) as refusal:
        _give_up(aside, str(refusal), held=held, now=now)
    return True


def _wish_again(aside: PlanChange, document: Doc | None) -> Wish | None:
    """The same wish, if what it began from is still what is paid for."""
    subscription = Subscription.objects.filter(stripe_subscription_id=aside.stripe_subscription_id).first()
    if document is None or subscription is None:
        return None
    prices = catalog.current().in_currency(document["currency"])
    price = prices.find_price(aside.to_price)
    began_from = planned.has(document, aside.from_price, aside.from_quantity)
    # Another contract takes the place of all that was planned, also one at the same price.
    contract = (document["metadata"] or {}).get(OFFER_KEY) or ""
    is_same = contract == (str(subscription.offer_id) if subscription.offer_id else "")
    if price is None or aside.from_plan_key not in prices.plans or not began_from or not is_same:
        return None
    return Wish(
        account=aside.account,
        subscription=subscription,
        before=prices.plan(aside.from_plan_key),
        price_before=prices.find_price(aside.from_price),
        plan=prices.plan(price.plan_key),
        price=price,
        quantity=aside.to_quantity,
    )


def _give_up(aside: PlanChange, refused: str, *, held: Held, now: datetime) -> None:
    """Staff are told where Stripe or the price list refused it; a plan that is another one by now needs nobody."""
    with held.saving():
        aside.state, aside.finished_at, aside.failure = PlanChange.State.UNDONE, now, refused[:300]
        aside.save(update_fields=["state", "finished_at", "failure"])
        telling.undone(aside, now=now)
        if refused:
            alerts.raise_alert(
                key=f"not_planned_again:{aside.nonce}",
                kind="change_not_planned_again",
                message=f"{aside.account} had planned {aside.to_price} × {aside.to_quantity} for the period's end. It "
                f"was set aside for another change, which failed, and was refused when planned again: {refused}",
                account=aside.account,
                now=now,
            )


def _running(phase: dict[str, Any]) -> dict[str, Any]:
    """The period as it is, said again: phases are replaced as a whole."""
    return {
        "items": [_entry(item) for item in phase["items"]],
        "start_date": phase["start_date"],
        "end_date": phase["end_date"],
        "proration_behavior": "none",
        **_terms(phase),
    }


def _next(wish: Wish, ids: dict[str, str], phase: dict[str, Any]) -> dict[str, Any]:
    return {
        "items": request.phase(wish, ids),
        # One period, then the subscription goes on by itself.
        "duration": {"interval": wish.price.interval, "interval_count": wish.price.interval_count},
        "proration_behavior": "none",
        **_terms(phase),
    }


def _entry(item: dict[str, Any]) -> dict[str, Any]:
    counted = {} if item.get("quantity") is None else {"quantity": item["quantity"]}
    return {"price": shapes.id_of(item["price"]), **counted}


def _terms(phase: dict[str, Any]) -> dict[str, Any]:
    """What holds beside the items and would be lost where a phase does not say it again."""
    discounts = [named for entry in phase.get("discounts") or [] if (named := _named(entry))]
    rates = [shapes.id_of(rate) for rate in phase.get("default_tax_rates") or []]
    return {
        **({"discounts": discounts} if discounts else {}),
        **({"default_tax_rates": rates} if rates else {}),
    }


def _named(discount: dict[str, Any]) -> dict[str, str]:
    """A discount by one name: as it runs already, else by what gives it."""
    names = ("discount", "promotion_code", "coupon")
    return next(({name: shapes.id_of(discount[name])} for name in names if discount.get(name)), {})
