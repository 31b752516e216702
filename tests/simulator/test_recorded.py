"""What recordings of real accounts show: which keys are always there, what a paid invoice tells, and in which order."""

from __future__ import annotations

import copy

import pytest

from simulator import sdk
from tests.simulator import recorded
from tests.simulator.shop import Shop


def test_a_paid_invoice_is_told_in_the_order_that_was_recorded(shop: Shop) -> None:
    kim = shop.customer(pays_with="pm_card_visa")
    before = len(shop.happened())

    invoice = shop.v1.invoices.create({"customer": kim, "auto_advance": False})
    assert invoice.id is not None
    shop.v1.invoice_items.create({"customer": kim, "invoice": invoice.id, "amount": 48000, "currency": "usd"})
    shop.v1.invoices.finalize_invoice(invoice.id, {"auto_advance": False})
    shop.v1.invoices.pay(invoice.id)

    assert shop.happened()[before:] == [
        "invoice.created",
        "invoiceitem.created",
        "invoice.updated",
        "payment_intent.created",
        "invoice.updated",
        "invoice.finalized",
        "invoice_payment.paid",
        "charge.succeeded",
        "payment_intent.succeeded",
        "invoice.updated",
        "invoice.paid",
        "invoice.payment_succeeded",
    ]
    _, finalized, paid = [it["data"] for it in shop.sim.store.all("event") if it["type"] == "invoice.updated"]
    was = paid["previous_attributes"]
    was.pop("amount_paid_off_stripe", None)  # newer than the recording
    assert was == {
        "amount_paid": 0,
        "amount_remaining": 48000,
        "attempt_count": 0,
        "attempted": False,
        "status": "open",
        "status_transitions": {"paid_at": None},
    }
    assert finalized["previous_attributes"] == {
        "effective_at": None,
        "ending_balance": None,
        "hosted_invoice_url": None,
        "invoice_pdf": None,
        "number": None,
        "status": "draft",
        "status_transitions": {"finalized_at": None},
    }


def test_every_recorded_kind_is_one_the_sdk_knows_and_every_recorded_key_is_there_in_an_empty_one() -> None:
    for kind in recorded.ALWAYS:
        whole = sdk.skeleton(kind)
        own = [path for path in recorded.ALWAYS[kind].split() if "." not in path]
        lost = {path for path in own if path not in whole and f"{kind}.{path}" not in recorded.NOT_ALWAYS}
        # Of payment methods only the part of its own kind is shown; data and lists are filled in by hand.
        assert lost <= {"card", "data"}, kind


@pytest.mark.parametrize("lost", ["livemode", "payment_method_details.card.wallet", "outcome.risk_level"])
def test_a_key_that_real_charges_always_have_is_missed(shop: Shop, lost: str) -> None:
    kim = shop.customer(pays_with="pm_card_visa")
    shop.subscribe(shop.price(), customer=kim)
    (charge,) = shop.v1.charges.list({"customer": kim}).data
    whole = charge.to_dict()
    assert recorded.missing({"data": [whole]}) == []

    without = copy.deepcopy(whole)
    *outer, last = lost.split(".")
    inner = without
    for name in outer:
        inner = inner[name]
    del inner[last]

    assert recorded.missing({"data": [without]}) == [f"charge.{lost}: always there at Stripe"]


def test_a_list_inside_an_object_says_how_many_there_are(shop: Shop) -> None:
    kim = shop.customer(pays_with="pm_card_visa")
    bought = shop.subscribe(shop.price(), shop.price(500, name="Extra"), customer=kim)

    assert bought.to_dict()["items"]["total_count"] == 2
    assert shop.invoices(kim)[0].lines.to_dict()["total_count"] == 2
    assert "total_count" not in shop.v1.invoices.list({"customer": kim}).to_dict()
