"""Disputes of an account's payments, asked of Stripe anew: which there are, and the gravest that nobody forgave."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from accounts.models import Account
from billing import alerts
from billing.models import Alert, Customer, Effect, Payment
from billing.stripe import gateway, shapes
from billing.stripe.truth import NEWEST_CHARGES, Disputes, Truth

# Inquiries (`warning_…`) take no money, and a prevented dispute never was one:
# https://docs.stripe.com/api/disputes/object#dispute_object-status
STATES = {"needs_response": "open", "under_review": "open", "lost": "lost"}
# Names, among the effects, a charge that a bank has asked back.
REMEMBERED = "disputed"

# Where nothing is left to do.
OVER = ("won", "warning_closed", "prevented")
ANSWER_IT = "Answer it in the Stripe Dashboard before it is due, and do not refund it."
# What staff read, by Stripe's word for where it stands.
WORDS = {
    "under_review": "It was answered; the bank decides. Do not refund it.",
    "warning_under_review": "The inquiry was answered; the bank decides.",
    "won": "It was won, the money is back and nothing is left to do.",
    "lost": "It was lost, the money is gone and the account is on hold until it is forgiven (Customers, Forgive "
    "disputes).",
    "warning_closed": "The inquiry is closed and nothing is left to do.",
    "prevented": "It was settled before it became a dispute; nothing is left to do.",
}


def find(dispute_id: str) -> tuple[dict[str, Any], str]:
    """The dispute, and the customer whose payment it is about ("" for a payment of nobody).

    A dispute does not name its customer, so its charge is asked for. Raises gateway.NotFound.
    """
    dispute = gateway.get(f"/v1/disputes/{dispute_id}", {"expand": ["charge"]})
    return dispute, dispute["charge"].get("customer") or ""


def of(said: Truth, *, customer: Customer, between: Callable[[], None]) -> Disputes | None:
    """The disputes of the account's payments; None where what Stripe said does not tell whether there are any.

    Costs a call for each disputed charge and none for who was never disputed. `between` is called before each (to renew
    a lease). Raises the gateway's errors.
    """
    former = [*customer.former_stripe_ids, *([customer.stripe_customer_id] if said.is_deleted else [])]
    try:
        return _of([said.charges, *map(_charges, former)], customer=customer, between=between)
    except gateway.NotFound:
        # Test data is wiped at will: what is known of it stays.
        return None


def of_customer(customer: Customer) -> Disputes:
    """As `of`, without having asked for anything else. Raises the gateway's errors."""
    names = [*customer.former_stripe_ids, customer.stripe_customer_id or ""]
    return _of([_charges(name) for name in names if name], customer=customer, between=lambda: None)


def state(said: Disputes | None, *, was: str) -> str:
    """The gravest: "lost", "open" or "". It does not matter which letter came last: one that was won, or a mere
    inquiry, does not make another that was lost undone. What one of them may be missing from only gets graver.
    """
    if said is None:
        return was
    states = {STATES.get(dispute["status"], "") for dispute in _unforgiven(said.found)}
    if not said.is_all:
        states.add(was)
    return next((state for state in ("lost", "open") if state in states), "")


def remember(said: Disputes, *, account: Account, now: datetime) -> None:
    """Their charges are asked for by name ever after: newer ones push them off the list that Stripe is asked for."""
    for dispute in said.found:
        if dispute["status"] in STATES:
            charge = shapes.id_of(dispute["charge"])
            Effect.objects.get_or_create(
                key=f"{REMEMBERED}:{charge}",
                defaults={
                    "kind": REMEMBERED,
                    "account": account,
                    "created_at": now,
                    "done_at": now,
                    "detail": {"charge": charge},
                },
            )


def lost(found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that were lost and not forgiven."""
    return [dispute for dispute in _unforgiven(found) if dispute["status"] == "lost"]


def undecided(found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those in which the bank still asks for the money."""
    return [dispute for dispute in found if STATES.get(dispute["status"]) == "open"]


def forgiven_key(dispute_id: str) -> str:
    """Names, among the effects, a lost dispute that counts no longer."""
    return f"dispute_forgiven:{dispute_id}"


def tell_staff(
    dispute: dict[str, Any],
    *,
    account: Account | None,
    now: datetime,
    became: str = "",
    is_news: bool = False,
) -> None:
    """Raise an alert for where the dispute stands, once: a late letter does not open again what staff resolved. The
    alert for where it stood before is resolved, and with the dispute, or once it is forgiven, so is this one.

    `became`: what has become of the plan. `is_news`: something was done since, so it is told again.
    """
    if is_news or not Alert.objects.filter(key=_alert_key(dispute)).exists():
        _raise(dispute, account=account, became=became, now=now)
    standing = Alert.objects.filter(key__startswith=f"dispute:{dispute['id']}:", resolved_at=None)
    if dispute["status"] not in OVER and _unforgiven([dispute]):
        standing = standing.exclude(key=_alert_key(dispute))
    standing.update(resolved_at=now)


def nothing_left(found: Iterable[dict[str, Any]], *, account: Account, now: datetime) -> None:
    """Of those that are not disputes any more Stripe lists none: the alerts about them are resolved."""
    standing = Alert.objects.filter(account=account, kind="dispute", resolved_at=None)
    for dispute in found:
        standing = standing.exclude(key__startswith=f"dispute:{dispute['id']}:")
    standing.update(resolved_at=now)


def _raise(dispute: dict[str, Any], *, account: Account | None, became: str, now: datetime) -> None:
    words = f"{WORDS.get(dispute['status'], ANSWER_IT)} {became}".strip()
    alerts.raise_alert(
        key=_alert_key(dispute),
        kind="dispute",
        message=f"The payment {shapes.id_of(dispute['charge'])} is disputed ({dispute['reason']}, now: "
        f"{dispute['status']}). {words}",
        account=account,
        now=now,
    )


def _alert_key(dispute: dict[str, Any]) -> str:
    return f"dispute:{dispute['id']}:{dispute['status']}"


def _unforgiven(found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    keys = {forgiven_key(dispute["id"]): dispute for dispute in found}
    forgiven = set(Effect.objects.filter(key__in=keys).values_list("key", flat=True)) if keys else set()
    return [dispute for key, dispute in keys.items() if key not in forgiven]


def _charges(customer_id: str) -> list[dict[str, Any]]:
    """Also of a customer who was deleted."""
    return list(gateway.pages("/v1/charges", {"customer": customer_id}, at_most=NEWEST_CHARGES))


def _of(lists: list[list[dict[str, Any]]], *, customer: Customer, between: Callable[[], None]) -> Disputes:
    listed = [charge for charges in lists for charge in charges]
    disputed = [charge["id"] for charge in listed if charge["disputed"]]
    known = _known(customer)
    older = sorted(known - {charge["id"] for charge in listed})
    found = []
    for name in (*disputed, *older):
        between()
        found += gateway.get("/v1/disputes", {"charge": name})["data"]
    asked = {*older}
    for payment in (*listed, *found):
        asked |= {payment["id"], shapes.id_of(payment.get("payment_intent"))}
    is_whole = all(len(charges) < NEWEST_CHARGES for charges in lists)
    return Disputes(found=found, payments=frozenset(asked - {""}), is_all=is_whole or bool(known))


def _known(customer: Customer) -> set[str]:
    """Charges that were disputed when last seen, however old."""
    marked = Payment.objects.filter(account=customer.account).exclude(dispute_state="")
    remembered = Effect.objects.filter(account=customer.account, kind=REMEMBERED)
    names = {
        *marked.values_list("stripe_charge_id", flat=True),
        *remembered.values_list("detail__charge", flat=True),
    }
    return names - {""}
