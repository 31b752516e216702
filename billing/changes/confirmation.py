"""The button under the receipt: what was shown is still so, and then it is done, once, and for that amount."""

from __future__ import annotations

from datetime import datetime

from accounts.models import Account, User
from billing import catalog
from billing.changes import planning, preview, request, tokens, upgrade, wishes
from billing.changes.refusals import NotYours, Stale
from billing.changes.tokens import Promise
from billing.changes.wishes import Wish
from billing.lifecycle import schedules, subscriptions
from billing.lifecycle.lease import Held
from billing.models import PlanChange
from billing.stripe import gateway


def confirm(*, account: Account, user: User, token: str, now: datetime, wall: datetime) -> PlanChange:
    """Do what the receipt says; the answer's `state` is what became of it.

    Twice, by two clicks, the back button or a reload, it is done once and answered the same. `now` is the account's
    time, `wall` everybody's. Raises NotYours, Stale (Expired after ten minutes) when what was shown is so no more,
    ChangeRefused, NothingBought, subscriptions.Busy and the gateway's errors; then nothing was changed, unless
    Stripe's answer got lost, which the account's next sync finds out.
    """
    promise, made = tokens.unseal(token, account=account, user=user)
    known = PlanChange.objects.filter(nonce=promise.nonce).first()
    if known is not None:
        return known
    tokens.check_age(made, wall=wall)
    with subscriptions.acting(account=account, purpose="change_plan") as held:
        # The other click may have held the lease while this one waited for it.
        known = PlanChange.objects.filter(nonce=promise.nonce).first()
        if known is not None:
            return known
        wish = wished(promise, account=account, now=now, wall=wall)
        _check_still_so(wish, promise)
        held.renew()
        ids = request.price_ids(wish, now=now)
        if wish.is_later:
            change = _write_down(wish, promise, user=user, held=held, now=now)
            planning.schedule(change, wish, ids, held=held, now=now)
        else:
            _check_amount(wish, ids, promise, now=now)
            held.renew()
            change = _write_down(wish, promise, user=user, held=held, now=now)
            schedules.let_go(held, promise.subscription)
            upgrade.pay_and_change(change, wish, ids, prorated_at=promise.prorated_at, held=held)
    change.refresh_from_db()
    return change


def wished(promise: Promise, *, account: Account, now: datetime, wall: datetime) -> Wish:
    """The promise as a wish, by today's rules. Raises ChangeRefused, NothingBought, Stale."""
    price = catalog.current().find_price(promise.to_price)
    if price is None:
        raise Stale("The price list has changed meanwhile. Choose again; nothing was charged.")
    wish = wishes.of(account=account, price=price, quantity=promise.to_quantity, now=now, wall=wall)
    same = (
        promise.subscription == wish.subscription.stripe_subscription_id,
        promise.from_price == wish.subscription.price_lookup_key,
        promise.from_quantity == wish.subscription.quantity,
    )
    if not all(same):
        raise Stale("The plan was changed meanwhile. This is how it is now; nothing was charged.")
    return wish


def _check_still_so(wish: Wish, promise: Promise) -> None:
    """Stripe is asked, not our rows: they may be a moment behind."""
    try:
        found = gateway.get(f"/v1/subscriptions/{promise.subscription}")
    except gateway.NotFound as error:
        raise NotYours from error
    if not request.is_as_we_know(found, wish.subscription):
        raise Stale("The plan was changed meanwhile. This is how it is now; nothing was charged.")


def _check_amount(wish: Wish, ids: dict[str, str], promise: Promise, *, now: datetime) -> None:
    """Asked again with the same second in the period: only use, a coupon or a balance can have moved it."""
    preview.bring_use_to_stripe(wish, now=now)
    try:
        due = preview.add_up(preview.ask(wish, ids, prorated_at=promise.prorated_at)).due
    except gateway.InvalidRequest as error:
        if error.param == "proration_date":
            raise Stale("A new period has begun meanwhile. Here is the amount anew.") from error
        raise
    if due != promise.due:
        raise Stale("The amount due has changed meanwhile. Here it is anew; nothing was charged.")


def _write_down(wish: Wish, promise: Promise, *, user: User, held: Held, now: datetime) -> PlanChange:
    """Before Stripe is asked. What was planned gives way to a change at once, and is planned again if that fails."""
    with held.saving():
        if not wish.is_later:
            PlanChange.objects.filter(account=held.account, state=PlanChange.State.SCHEDULED).update(
                state=PlanChange.State.SET_ASIDE
            )
        return PlanChange.objects.create(
            account=wish.account,
            nonce=promise.nonce,
            is_later=wish.is_later,
            stripe_subscription_id=promise.subscription,
            from_plan_key=wish.before.key,
            from_price=promise.from_price,
            from_quantity=promise.from_quantity,
            to_plan_key=wish.plan.key,
            to_price=promise.to_price,
            to_quantity=promise.to_quantity,
            shown_amount=promise.due,
            shown_recurring=None if wish.price.meter else promise.recurring,
            currency=promise.currency,
            takes_effect_at=preview.ends_at(wish.subscription, now=now) if wish.is_later else now,
            started_by=user,
            created_at=now,
        )
