"""An offer to a big customer: written, sent, accepted, or not."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.simulator.shop import DAY, Shop


def offer(shop: Shop, customer: str, **more: Any) -> stripe.Quote:
    given: dict[str, Any] = {
        "customer": customer,
        "line_items": [{"price": shop.price(1900), "quantity": 100}],
        "collection_method": "send_invoice",
        "invoice_settings": {"days_until_due": 30},
        "subscription_data": {"metadata": {"deal": "big"}},
    }
    return shop.v1.quotes.create(given | more)  # type: ignore[arg-type]


def test_an_accepted_offer_becomes_the_subscription_it_described(shop: Shop) -> None:
    customer = shop.customer()
    quote = offer(shop, customer, automatic_tax={"enabled": True})
    assert (quote.status, quote.amount_subtotal, quote.amount_total) == ("draft", 190_000, 209_000)

    quote = shop.v1.quotes.finalize_quote(quote.id)
    assert quote.status == "open" and quote.number is not None
    quote = shop.v1.quotes.accept(quote.id, {"expand": ["subscription", "line_items"]})

    subscription: Any = quote.subscription
    assert (quote.status, subscription.status, subscription.metadata.deal) == ("accepted", "active", "big")
    assert quote.line_items is not None and quote.line_items.data[0].quantity == 100
    invoice = shop.invoices(customer)[0]
    assert (invoice.id, invoice.total, invoice.collection_method) == (quote.invoice, 209_000, "send_invoice")
    assert {"quote.created", "quote.finalized", "quote.accepted"} <= set(shop.happened())


def test_a_discount_and_a_trial_of_an_offer_hold(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    coupon = shop.v1.coupons.create({"percent_off": 10, "duration": "forever"}).id
    quote = offer(
        shop,
        customer,
        collection_method="charge_automatically",
        discounts=[{"coupon": coupon}],
        subscription_data={"trial_period_days": 14},
    )
    shop.v1.quotes.finalize_quote(quote.id)
    accepted = shop.v1.quotes.accept(quote.id)

    assert shop.subscription(str(accepted.subscription)).status == "trialing"
    shop.advance(days=15)

    assert shop.invoices(customer)[-1].amount_paid == quote.amount_total == 171_000


def test_only_an_open_offer_is_accepted_and_only_a_draft_is_changed(shop: Shop) -> None:
    quote = offer(shop, shop.customer())
    with pytest.raises(stripe.InvalidRequestError, match="draft"):
        shop.v1.quotes.accept(quote.id)
    shop.v1.quotes.update(quote.id, {"header": "For you", "metadata": {"a": "b"}})
    shop.v1.quotes.finalize_quote(quote.id)
    with pytest.raises(stripe.InvalidRequestError, match="cannot be updated"):
        shop.v1.quotes.update(quote.id, {"header": "For them"})

    assert shop.v1.quotes.cancel(quote.id).status == "canceled"
    with pytest.raises(stripe.InvalidRequestError, match="canceled"):
        shop.v1.quotes.accept(quote.id)
    assert shop.v1.quotes.list({"status": "canceled"}).data[0].header == "For you"
    assert [line.amount_total for line in shop.v1.quotes.line_items.list(quote.id).data] == [190_000]


def test_an_offer_nobody_takes_runs_out(shop: Shop) -> None:
    quote = offer(shop, shop.customer())
    shop.v1.quotes.finalize_quote(quote.id)

    shop.advance(to=quote.expires_at + DAY)

    assert shop.v1.quotes.retrieve(quote.id).status == "canceled"
