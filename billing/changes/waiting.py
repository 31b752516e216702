"""A change that waits for its payment is called off by whoever asked for it, and by a plan that ends or pauses."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from accounts.models import Account
from billing import alerts
from billing.lifecycle import dispute_ends
from billing.lifecycle.lease import Held
from billing.lifecycle.projection import OFFER_KEY
from billing.models import PlanChange
from billing.stripe import gateway
from billing.stripe.shapes import Doc
from billing.stripe.truth import Truth, is_live


def call_off(change: PlanChange, *, held: Held) -> None:
    """Void its invoice, which gives the change up at Stripe, under the account's lease. The sync after it says so on
    `change`; paid in this very moment it goes on waiting, for the sync to see that. Raises LeaseLost and the gateway's
    errors.
    """
    if not void(change.stripe_invoice_id, held=held):
        return
    with held.saving():
        PlanChange.objects.filter(pk=change.pk, state=PlanChange.State.WAITING).update(
            state=PlanChange.State.STARTED, invoice_url="", failure=PlanChange.CALLED_OFF
        )


def call_off_all(*, held: Held) -> None:
    """As `call_off`, whatever of the account's waits, after its plan was ended. What Stripe refuses keeps nothing from
    ending: the sync tries again and tells staff.
    """
    for change in PlanChange.objects.filter(account=held.account, state=PlanChange.State.WAITING):
        with suppress(gateway.InvalidRequest):
            call_off(change, held=held)
        held.renew()


def end_with_plan(truth: Truth, *, account: Account, held: Held, now: datetime) -> bool:
    """Call off what waits while its plan is set to end, is paused or is over, whoever did that and wherever: nobody is
    to be charged more for it. Acts that end or pause a plan leave it to the sync after them, so that nothing is called
    off for a plan that goes on after all. What Stripe refuses is told to staff. Answers True when something was done:
    then ask anew. Raises LeaseLost and the gateway's other errors.
    """
    found = {document["id"]: document for document in truth.subscriptions}
    paid = {invoice["id"] for invoice in truth.invoices if invoice["status"] == "paid"}
    did = False
    for change in PlanChange.objects.filter(account=account, state=PlanChange.State.WAITING):
        if goes_on(found.get(change.stripe_subscription_id)) or change.stripe_invoice_id in paid:
            continue
        try:
            call_off(change, held=held)
            did = True
        except gateway.InvalidRequest as refusal:
            _tell(change, refusal.message, held=held, now=now)
        held.renew()
    return did


def goes_on(document: Doc | None) -> bool:
    """Whether a subscription is neither over nor to end or to pause. The last day of a contract was agreed with it, and
    no reason to call anything off; a day that a lost dispute put in its place is.
    """
    if document is None or not is_live(dict(document)) or document.get("pause_collection"):
        return False
    if document["cancel_at_period_end"]:
        return False
    is_contract = bool((document.get("metadata") or {}).get(OFFER_KEY))
    return not document["cancel_at"] or (is_contract and dispute_ends.ours(document["id"]) is None)


def void(invoice_id: str, *, held: Held) -> bool:
    """Nothing is to be paid on it any more, or it was void already. Answers False where it was paid before."""
    try:
        # The lease's token is committed and never comes again: Stripe repeats a refusal to one key for a day.
        gateway.post(f"/v1/invoices/{invoice_id}/void", idempotency_key=f"void:{invoice_id}:{held.token}")
    except gateway.NotFound:
        return True
    except gateway.InvalidRequest:
        status = gateway.get(f"/v1/invoices/{invoice_id}")["status"]
        if status == "open":
            raise
        return bool(status != "paid")
    return True


def _tell(change: PlanChange, refused: str, *, held: Held, now: datetime) -> None:
    with held.saving():
        alerts.raise_alert(
            key=f"not_called_off:{change.stripe_invoice_id}",
            kind="change_not_called_off",
            message=f"The plan of {change.account} does not go on, and its change to {change.to_price} still waits "
            f"for a payment: Stripe would not void {change.stripe_invoice_id}: {refused} Void it at Stripe, or it may "
            "be paid.",
            account=change.account,
            now=now,
        )
