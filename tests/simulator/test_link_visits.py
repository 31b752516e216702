"""A payment link through the API: every visit is a checkout of its own, as long as the link is on."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from simulator.errors import StripeError
from simulator.resources import payment_links
from tests.simulator.shop import Shop


def link(shop: Shop, *lines: Any, **more: Any) -> stripe.PaymentLink:
    return shop.v1.payment_links.create({"line_items": list(lines), **more})  # type: ignore[typeddict-item]


def visited(shop: Shop, name: str, **more: Any) -> stripe.checkout.Session:
    with shop.sim.transaction():
        session = payment_links.follow(shop.sim, name, **more)["id"]
    return shop.v1.checkout.sessions.retrieve(session)


def test_every_visit_is_a_checkout_of_its_own(shop: Shop) -> None:
    made = link(shop, {"price": shop.price(1900), "quantity": 2}, metadata={"from": "poster"})

    first, second = visited(shop, made.id, email="a@example.com"), visited(shop, made.id, reference="r1")

    assert first.id != second.id
    assert (first.mode, first.amount_total, first.customer_email) == ("subscription", 3800, "a@example.com")
    assert (second.payment_link, second.client_reference_id) == (made.id, "r1")
    assert first.metadata is not None and first.metadata.to_dict() == {"from": "poster"}
    shop.pay(first.id, email="a@example.com")
    assert shop.v1.checkout.sessions.retrieve(first.id).payment_status == "paid"
    assert shop.v1.checkout.sessions.retrieve(second.id).status == "open"


def test_a_link_may_sell_something_once_and_leads_where_it_says(shop: Shop) -> None:
    product = shop.v1.products.create({"name": "Book"}).id
    price = shop.v1.prices.create({"product": product, "currency": "usd", "unit_amount": 500}).id
    made = link(
        shop,
        {"price": price, "quantity": 1},
        after_completion={"type": "redirect", "redirect": {"url": "https://shop.example/thanks"}},
    )

    session = visited(shop, made.id)

    assert (session.mode, session.success_url) == ("payment", "https://shop.example/thanks")
    assert [line.amount_total for line in shop.v1.payment_links.line_items.list(made.id).data] == [500]


def test_a_link_switched_off_sells_nothing(shop: Shop) -> None:
    made = link(shop, {"price": shop.price(), "quantity": 1}, inactive_message="Sold out.")
    shop.v1.payment_links.update(made.id, {"active": False})

    with pytest.raises(StripeError, match="Sold out"):
        visited(shop, made.id)

    assert shop.v1.payment_links.list({"active": True}).data == []
    assert shop.v1.checkout.sessions.list().data == []


def test_what_cannot_be_sold_together_is_no_link(shop: Shop) -> None:
    euros = shop.price(currency="eur")

    with pytest.raises(stripe.InvalidRequestError, match="same currency"):
        link(shop, {"price": shop.price(), "quantity": 1}, {"price": euros, "quantity": 1})
    with pytest.raises(stripe.InvalidRequestError, match="No such price"):
        link(shop, {"price": "price_nowhere", "quantity": 1})
