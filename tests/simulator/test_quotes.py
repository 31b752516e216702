"""An offer to a big customer: written, sent, accepted, or not."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from simulator.server import Running
from tests.simulator.shop import DAY, NEW_YEAR, Shop, at


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


def test_an_offer_accepted_today_may_begin_later(shop: Shop) -> None:
    customer = shop.customer()
    begins = at(2026, 3, 1)
    quote = offer(shop, customer, subscription_data={"effective_date": begins, "metadata": {"deal": "big"}})
    shop.v1.quotes.finalize_quote(quote.id)

    accepted = shop.v1.quotes.accept(quote.id, {"expand": ["subscription_schedule"]})

    schedule: Any = accepted.subscription_schedule
    assert (accepted.status, accepted.subscription, schedule.status) == ("accepted", None, "not_started")
    shop.advance(to=begins + 7200)
    begun = shop.v1.subscription_schedules.retrieve(schedule.id, {"expand": ["subscription"]})
    running: Any = begun.subscription
    assert (running.start_date, running.metadata.deal) == (begins, "big")
    invoice = shop.invoices(customer)[0]
    assert (invoice.total, invoice.collection_method, invoice.due_date) == (
        190_000,
        "send_invoice",
        begins + 30 * DAY,
    )


@pytest.mark.parametrize("when", [NEW_YEAR - DAY, "current_period_end"])
def test_an_offer_does_not_begin_in_the_past(shop: Shop, when: Any) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="effective_date"):
        offer(shop, shop.customer(), subscription_data={"effective_date": when})


def test_a_revision_takes_the_place_of_what_it_revises(shop: Shop) -> None:
    first = offer(shop, shop.customer(), header="For you")
    shop.v1.quotes.finalize_quote(first.id)

    revision = shop.v1.quotes.create(
        {
            "from_quote": {"quote": first.id, "is_revision": True},
            "line_items": [{"price": shop.price(1500), "quantity": 100}],
        }
    )
    assert (revision.header, revision.amount_total, revision.status) == ("For you", 150_000, "draft")
    assert revision.from_quote is not None and revision.from_quote.is_revision
    assert shop.v1.quotes.retrieve(first.id).status == "open"
    shop.v1.quotes.finalize_quote(revision.id)

    assert shop.v1.quotes.retrieve(first.id).status == "canceled"
    assert shop.v1.quotes.accept(revision.id).status == "accepted"


def test_an_offer_may_be_made_from_another_and_both_stand(shop: Shop) -> None:
    first = offer(shop, shop.customer())
    with pytest.raises(stripe.InvalidRequestError, match="Only an open quote can be revised"):
        shop.v1.quotes.create({"from_quote": {"quote": first.id, "is_revision": True}})

    copy = shop.v1.quotes.create({"from_quote": {"quote": first.id}})

    shop.v1.quotes.finalize_quote(copy.id)
    assert (copy.amount_total, copy.customer) == (first.amount_total, first.customer)
    assert shop.v1.quotes.retrieve(first.id).status == "draft"


def test_an_offer_with_taxes_by_hand_is_invoiced_as_it_says(shop: Shop) -> None:
    customer = shop.customer()
    rate = shop.v1.tax_rates.create({"display_name": "VAT", "percentage": 19, "inclusive": False}).id
    quote = offer(shop, customer, default_tax_rates=[rate])
    assert quote.amount_total == 226_100
    shop.v1.quotes.finalize_quote(quote.id)

    shop.v1.quotes.accept(quote.id)

    assert shop.invoices(customer)[0].total == 226_100


def test_a_final_offer_can_be_downloaded(shop: Shop, house: Running) -> None:
    client = stripe.StripeClient(
        "sk_test_" + "0" * 24, base_addresses={"api": house.url, "files": house.url}, max_network_retries=0
    )
    quote = offer(shop, shop.customer())
    with pytest.raises(stripe.InvalidRequestError, match="draft"):
        client.v1.quotes.pdf(quote.id)
    number = shop.v1.quotes.finalize_quote(quote.id).number

    content = client.v1.quotes.pdf(quote.id).io.read()

    assert content.startswith(b"%PDF-")
    assert str(number).encode() in content and b"$1,900.00" in content
