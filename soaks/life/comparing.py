"""What our house says and what Stripe has, held against the calculation: each difference in one line."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from soaks.life.people import Person


class Differs(Exception):
    """An act answered otherwise than calculated."""


def differences(person: Person) -> list[str]:
    """Bills to the cent, allowances to the unit, and access, at this moment."""
    return [*_access(person), *_bills(person), *_allowances(person)]


def _access(person: Person) -> Iterator[str]:
    from billing import entitlements

    rights = entitlements.of(person.account, now=person.now)
    ours = (rights.level.name, rights.plan.key)
    expected = (person.life.level(), person.life.plan().key)
    if ours != expected:
        yield f"access: {ours[0]} of {ours[1]} ({rights.reason}), expected {expected[0]} of {expected[1]}"
    bought = person.life.purchase
    if (
        bought is not None
        and bought.price.per_seat
        and person.life.has_plan()
        and rights.seats != bought.quantity
    ):
        yield f"seats: {rights.seats}, expected {bought.quantity}"


def _bills(person: Person) -> Iterator[str]:
    from billing.models import Customer, Payment

    name = Customer.objects.get(account=person.account).stripe_customer_id
    found = person.simulator.store.find("invoice", "customer", name)
    expected = sorted((bill.at, bill.total, bill.due, bill.state) for bill in person.life.bills)
    at_stripe = sorted((one["created"], *_sums(one), one["status"]) for one in found)
    if at_stripe != expected:
        yield from _apart("bill at Stripe", at_stripe, expected)
    ours = sorted(
        (int(row.created_at.timestamp()), row.amount_due, row.amount_paid, row.status)
        for row in Payment.objects.filter(account=person.account).exclude(status="draft")
    )
    wanted = sorted(
        (bill.at, bill.due, bill.due if bill.state == "paid" else 0, bill.state)
        for bill in person.life.bills
        if bill.state != "draft"
    )
    if ours != wanted:
        yield from _apart("bill on our page", ours, wanted)
    given_back = sorted(
        (int(row.created_at.timestamp()), row.amount_due, row.amount_refunded)
        for row in Payment.objects.filter(account=person.account, status="paid")
    )
    wanted_back = sorted(
        (bill.at, bill.due, bill.refunded) for bill in person.life.bills if bill.state == "paid"
    )
    if given_back != wanted_back:
        yield from _apart("given back", given_back, wanted_back)


def _sums(invoice: dict[str, Any]) -> tuple[int, int]:
    """A draft owes nothing yet; what of a balance it uses is decided when it is finalized."""
    return invoice["total"], 0 if invoice["status"] == "draft" else invoice["amount_due"]


def _apart(what: str, found: list[tuple[Any, ...]], expected: list[tuple[Any, ...]]) -> Iterator[str]:
    for one in found:
        if one not in expected:
            yield f"{what}: {_bill(one)} was not expected"
    for one in expected:
        if one not in found:
            yield f"{what}: {_bill(one)} is missing"
    if sorted(set(found)) == sorted(set(expected)):
        yield f"{what}: {len(found)}, expected {len(expected)}"


def _bill(one: tuple[Any, ...]) -> str:
    return f"{datetime.fromtimestamp(one[0], UTC):%Y-%m-%d %H:%M:%S} {one[1:]}"


def _allowances(person: Person) -> Iterator[str]:
    from usage import metering

    known = {balance.feature: balance for balance in metering.balances(person.account, now=person.now)}
    plan = person.life.plan()
    for feature in {*known, *plan.allowances, *plan.metered}:
        expected, balance = person.life.allowance(feature), known.get(feature)
        if expected is None or balance is None:
            if expected is not None or balance is not None:
                yield f"{feature}: {balance}, expected {expected}"
            continue
        limit, window = expected
        ours = (
            balance.used,
            balance.limit,
            (int(balance.period_start.timestamp()), int(balance.period_end.timestamp())),
        )
        wanted = (person.life.used(feature, window), limit, window)
        if ours != wanted:
            yield f"{feature}: used, limit, window {ours}, expected {wanted}"
