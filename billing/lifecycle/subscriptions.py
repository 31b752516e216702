"""Our subscriptions follow Stripe's: `sync` asks for the truth and writes it; every act is an ask, then a sync."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

import structlog
from django.db.models import F

from accounts.models import Account
from billing import alerts, clock, oversight
from billing.changes import planning, waiting
from billing.deals import replacing
from billing.lifecycle import (
    books,
    customers,
    dispute_ends,
    disputed,
    duplicates,
    lease,
    lost_disputes,
    money_back,
    pack_grants,
    pending_items,
    schedules,
    trials,
)
from billing.lifecycle.lease import Held, LeaseLost
from billing.lifecycle.lease import LeaseTaken as Busy
from billing.models import CheckoutIntent, Customer, Payment, Subscription
from billing.signals import subscription_about_to_change
from billing.stripe import disputes, gateway, mirror, personal, truth
from billing.stripe.truth import Truth

__all__ = [
    "Busy",
    "NothingToChange",
    "OnHold",
    "acting",
    "ask_about_doubtful",
    "cancel",
    "cancel_now",
    "resume",
    "serve_owed",
    "sync",
]

log = structlog.get_logger(__name__)

# A web action waits so long for a sync or another act to finish before it says that one is in progress.
PATIENCE_SECONDS = 5.0
# Requests that keep coming while a sync runs are served by it, but not for ever: the rest is left to the
# sweeper.
MOST_ROUNDS = 6
# The sweeper stops here, well before Celery's soft time limit would stop it in the middle.
SERVE_SECONDS = 45
# What a sync does at Stripe before it believes what it is told; each answers whether it did something.
OWED = (
    duplicates.resolve,
    money_back.follow,
    trials.end_second,
    replacing.follow,
    lost_disputes.follow,
    waiting.end_with_plan,
    planning.put_back,
)


class NothingToChange(Exception):
    """There is no subscription in a state that this act could change."""


class OnHold(NothingToChange):
    """A dispute was lost: the plan ends, and nothing goes on that would be charged."""


def sync(*, account: Account, reason: str, wait_seconds: float = 0.0) -> bool:
    """Make our rows say what Stripe says. Safe twice, late, and from many places at once.

    Answers True when Stripe was asked after this call began and its answer is committed; False when another
    holder of the account's lease is at it, who will serve this request too (if it dies, the sweeper does).
    Raises the gateway's errors; then nothing was written, and the request stays wanted.
    """
    wanted = _want(account)
    try:
        with lease.hold(account=account, purpose=f"sync:{reason}", wait_seconds=wait_seconds) as held:
            _serve(held)
    except lease.LeaseTaken:
        return False
    except LeaseLost:
        # We were too slow and somebody else took over. What our mirror wrote late may be older than what
        # theirs wrote, so it is wanted once more.
        log.warning("lease_lost", account=str(account.pk), reason=reason)
        _want(account)
        return False
    _serve_latecomers(account)
    return customers.row(account).sync_served >= wanted


def serve_owed(*, limit: int = 50) -> int:
    """Sync accounts whose request was left behind by a holder that died or gave up; answers how many were served.

    For the sweeper. An account in trouble does not stop the others: its error is logged, it stays owed, and as
    the order is chance it does not always come first. After SERVE_SECONDS the rest waits for the next turn.
    """
    started = time.monotonic()
    served = 0
    owed = Customer.objects.filter(sync_wanted__gt=F("sync_served")).select_related("account")
    for customer in owed.order_by("?")[: 20 * limit]:
        if served >= limit or time.monotonic() - started > SERVE_SECONDS:
            break
        try:
            _serve_latecomers(customer.account)
        except Exception:  # a mistake of ours about one account must not keep the others from their plans
            log.exception("sync_failed", account=str(customer.pk))
        served += customers.row(customer.account).sync_served >= customer.sync_wanted
    return served


def ask_about_doubtful(*, now: datetime, limit: int = 50) -> int:
    """Ask Stripe about accounts whose time ran out without a word; what stays unclear is told to staff.

    For the sweeper, `now` is wall time. Answers how many were looked at before SERVE_SECONDS were over.
    """
    started = time.monotonic()
    looked_at = 0
    for doubted in oversight.doubtful(now=now)[:limit]:
        if time.monotonic() - started > SERVE_SECONDS:
            break
        account = doubted.account
        try:
            sync(account=account, reason="doubtful")
        except Exception:  # one account's trouble must not keep staff from hearing of the others
            log.exception("sync_failed", account=str(account.pk))
            oversight.tell(account, now=clock.at(account, now=now))
        looked_at += 1
    return looked_at


def cancel(*, account: Account, feedback: str = "", comment: str = "") -> None:
    """Cancel at the end of the paid period (or trial). Until then nothing changes.

    An upgrade that waits for its payment is called off by the sync after it (`waiting.end_with_plan`); paid before, it
    is had until the end. Raises NothingToChange, Busy and the gateway's errors.

    `feedback` is one of Stripe's words for a reason
    (https://docs.stripe.com/api/subscriptions/update#update_subscription-cancellation_details).
    """
    given = {key: said for key, said in (("feedback", feedback), ("comment", comment)) if said}
    details = {"cancellation_details": given} if given else {}
    _change(account, "cancel", {"cancel_at_period_end": True, **details})


def resume(*, account: Account) -> None:
    """Take a cancellation back while the subscription still runs. Raises NothingToChange, also while the account is on
    hold for a lost dispute: nobody is to go on paying for what they do not get. Raises Busy.
    """
    _change(account, "resume", {"cancel_at_period_end": False})


def cancel_now(*, account: Account, settles: bool = False) -> None:
    """End the subscription at once and fall back to the free plan, without money back; unbilled usage is invoiced. What
    waits for its payment is called off by the sync after it.

    `settles`: and so is the time of seats taken or left midway, which Stripe drops otherwise
    (https://docs.stripe.com/api/subscriptions/cancel); never on hold for a lost dispute.

    Raises NothingToChange, Busy and the gateway's errors.
    """
    with acting(account=account, purpose="cancel_now") as held:
        subscription = _live(account)
        has_usage = subscription.items.filter(is_metered=True).exists()
        has_more = settles and held.customer.dispute_state != "lost" and _has_time_waiting(subscription)
        subscription_about_to_change.send(Subscription, account=account, now=clock.now(account))
        try:
            gateway.delete(
                f"/v1/subscriptions/{subscription.stripe_subscription_id}",
                {"invoice_now": has_usage or has_more, "prorate": False},
            )
        except gateway.NotFound as error:
            raise NothingToChange("The subscription has ended already.") from error
        _is_canceled_anyway(subscription, held=held)


@contextmanager
def acting(*, account: Account, purpose: str, follow: bool = True) -> Iterator[Held]:
    """Hold the lease for one act at Stripe and, unless `follow` is False, sync under the same lease after it.

    Raises Busy. When the act fails its outcome may be unknown, so a sync is wanted then too. A sync that
    fails after an act that did not is no failure of the act: it stays wanted, and the sweeper sees to it.
    """
    try:
        with lease.hold(account=account, purpose=purpose, wait_seconds=PATIENCE_SECONDS) as held:
            if follow:
                # Before the act, so that whoever is killed in it leaves the account to the sweeper.
                _want(account)
            try:
                yield held
            except BaseException:
                _want(account)
                raise
            if follow:
                _serve_or_leave_owed(held)
    except LeaseLost as error:
        raise Busy("Another change took over.") from error
    finally:
        _serve_latecomers(account)


def _change(account: Account, act: str, params: dict[str, Any]) -> None:
    with acting(account=account, purpose=act) as held:
        subscription = _live(account)
        if subscription.is_fixed_term:
            raise NothingToChange("The contract says when the plan ends; only another contract changes that.")
        if act == "resume" and held.customer.dispute_state == "lost":
            raise OnHold("The account is on hold.")
        schedules.let_go_of_known(held, subscription)
        path = f"/v1/subscriptions/{subscription.stripe_subscription_id}"
        if subscription.cancel_at is not None and act == "resume":
            # A set date is taken back by clearing it; the two ways to end exclude each other at Stripe.
            params = {"cancel_at": ""} if not subscription.cancel_at_period_end else params
        # The lease's token is committed and never comes again: cancel, resume and cancel are three acts.
        try:
            gateway.post(path, params, idempotency_key=f"{act}:{path.rsplit('/')[-1]}:{held.token}")
        except gateway.NotFound as error:
            raise NothingToChange("The subscription has ended already.") from error
        if act == "cancel":
            _is_canceled_anyway(subscription, held=held)


def _has_time_waiting(subscription: Subscription) -> bool:
    return any(
        item["proration"] and pending_items.subscription_of(item) == subscription.stripe_subscription_id
        for item in pending_items.of(subscription.stripe_customer_id)
    )


def _is_canceled_anyway(subscription: Subscription, *, held: Held) -> None:
    """Who cancels what ends for a lost dispute means it: forgiven or not, it stays canceled."""
    with held.saving():
        dispute_ends.take_over(subscription.stripe_subscription_id, became=dispute_ends.CANCELED)


def _live(account: Account) -> Subscription:
    subscription = Subscription.objects.live().filter(account=account).first()
    if subscription is None:
        raise NothingToChange("There is no running plan.")
    return subscription


def _want(account: Account) -> int:
    """Ask for a sync; answers the number that `sync_served` will have reached when it is done."""
    row = customers.row(account)
    Customer.objects.filter(pk=row.pk).update(sync_wanted=F("sync_wanted") + 1)
    return row.sync_wanted + 1


def _serve(held: Held) -> None:
    """Ask, mirror, write, until all that came meanwhile is served; the last commit frees the lease."""
    for _ in range(MOST_ROUNDS):
        seen = held.customer
        wanted = seen.sync_wanted
        said = _ask(held)
        now = said.clock_now or clock.now(held.account)
        failed = _mirror(said, held, customer=seen)
        pack_grants.follow(said, account=held.account, held=held, now=now)
        schedules.take_new_card(said, held=held, now=now)
        with held.saving() as customer:
            books.write(said, customer=customer, now=now)
            if said.disputes is not None:
                disputed.note(held.account, said=said.disputes)
            oversight.tell(held.account, now=now)
            for explanation in failed:
                _tell_of_mirror(explanation, account=held.account, now=now)
            Customer.objects.filter(pk=customer.pk).update(sync_served=wanted)
            customer.refresh_from_db(fields=["sync_wanted"])  # the writing may have asked for another round
            if customer.sync_wanted == wanted:
                held.give_back()
                return


def _ask(held: Held) -> Truth:
    """The truth, after what must not be in it (a second subscription, one given back in full) has been ended, and what
    is missing in it (a planned change that was set aside) has been put back.
    """
    account = held.account
    intents = CheckoutIntent.objects.filter(account=account, state=CheckoutIntent.State.OPEN)
    sessions = [name for name in intents.values_list("stripe_session_id", flat=True) if name]
    invoices = list(
        Payment.objects.filter(account=account, status="open").values_list("stripe_invoice_id", flat=True)
    )
    for _ in range(len(OWED) + 1):
        said = truth.fetch(held.customer, open_sessions=sessions, open_invoices=invoices, between=held.renew)
        said = replace(said, disputes=disputes.of(said, customer=held.customer, between=held.renew))
        now = said.clock_now or clock.now(account)
        if not any(see_to(said, account=account, held=held, now=now) for see_to in OWED):
            return said
    return said


def _mirror(said: Truth, held: Held, *, customer: Customer) -> list[str]:
    """Answers what could not be mirrored. Of an account that is closed nobody's name comes back by a late letter."""
    failed = []
    is_closed = customer.account.closed_at is not None
    outdated = mirror.outdated(map(personal.without, said.documents()) if is_closed else said.documents())
    for document in outdated:
        held.renew()
        try:
            mirror.store(document)
        except mirror.MirrorFailed as error:
            failed.append(str(error))
    if is_closed and outdated:
        # dj-stripe asks Stripe for what an object refers to, by itself.
        mirror.anonymise([id for id in (customer.stripe_customer_id, *customer.former_stripe_ids) if id])
    return failed


def _tell_of_mirror(explanation: str, *, account: Account, now: datetime) -> None:
    alerts.raise_alert(
        key=f"mirror:{explanation}",
        kind="mirror_failed",
        message=f"dj-stripe's tables could not take {explanation}. Access and payments are not "
        "affected; the admin shows an older state of it.",
        account=account,
        now=now,
    )


def _serve_latecomers(account: Account) -> None:
    """Requests that found the lease taken and left, while its holder was about to give it back."""
    row = customers.row(account)
    if row.sync_wanted <= row.sync_served:
        return
    try:
        with lease.hold(account=account, purpose="sync:latecomers") as held:
            _serve_or_leave_owed(held)
    except (lease.LeaseTaken, LeaseLost):
        return  # somebody is at it, and looks at the counter as we did


def _serve_or_leave_owed(held: Held) -> None:
    try:
        _serve(held)
    except gateway.StripeError as error:
        log.warning("sync_still_owed", account=str(held.account.pk), error=type(error).__name__)
