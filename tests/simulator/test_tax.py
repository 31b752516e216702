"""Tax: by hand with a rate, or automatically at the one test rate of ten per cent."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.simulator.shop import Shop


def test_automatic_tax_is_added_and_each_line_says_how_much(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    shop.subscribe(shop.price(2900), customer=customer, automatic_tax={"enabled": True})

    invoice = shop.invoices(customer)[0]

    assert (invoice.subtotal, invoice.total_excluding_tax, invoice.amount_paid) == (2900, 2900, 3190)
    assert invoice.automatic_tax.status == "complete"
    assert invoice.total_taxes is not None and invoice.total_taxes[0].amount == 290
    taxes = invoice.lines.data[0].taxes
    assert taxes is not None and (taxes[0].taxable_amount, taxes[0].tax_behavior) == (2900, "exclusive")


def test_a_price_that_includes_its_tax_costs_what_it_says(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    price = shop.price(1100, tax_behavior="inclusive")
    shop.subscribe(price, customer=customer, automatic_tax={"enabled": True})

    invoice = shop.invoices(customer)[0]

    assert (invoice.amount_paid, invoice.total_excluding_tax) == (1100, 1000)


@pytest.mark.parametrize("exempt", ["exempt", "reverse"])
def test_who_is_exempt_pays_no_tax(shop: Shop, exempt: str) -> None:
    customer = shop.customer(pays_with="pm_card_visa", tax_exempt=exempt)
    shop.subscribe(shop.price(2900), customer=customer, automatic_tax={"enabled": True})

    assert shop.invoices(customer)[0].amount_paid == 2900


def test_tax_is_taken_of_what_is_left_after_the_discount(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    coupon = shop.v1.coupons.create({"percent_off": 50, "duration": "once"}).id
    shop.subscribe(
        shop.price(2000), customer=customer, automatic_tax={"enabled": True}, discounts=[{"coupon": coupon}]
    )

    assert shop.invoices(customer)[0].amount_paid == 1100


def test_the_checkout_page_asks_for_the_same_amount_that_is_charged(shop: Shop) -> None:
    customer = shop.customer()
    name = shop.session(shop.price(1995), customer=customer, automatic_tax={"enabled": True})
    session = shop.v1.checkout.sessions.retrieve(name)
    assert session.total_details is not None and session.total_details.amount_tax == 200

    shop.pay(name)

    assert shop.invoices(customer)[0].amount_paid == session.amount_total == 2195


def test_a_tax_rate_of_ones_own_is_put_on_invoices(shop: Shop) -> None:
    rate = shop.v1.tax_rates.create(
        {"display_name": "VAT", "percentage": 19, "inclusive": False, "country": "DE"}
    )
    customer = shop.customer(pays_with="pm_card_visa")
    shop.subscribe(shop.price(1000), customer=customer, default_tax_rates=[rate.id])

    first = shop.invoices(customer)[0]
    shop.advance(days=29)

    assert (first.total, first.default_tax_rates[0].id) == (1190, rate.id)
    assert shop.invoices(customer)[1].amount_paid == 1190


def test_a_tax_rate_is_renamed_and_put_away_but_never_changes_what_it_takes(shop: Shop) -> None:
    rate = shop.v1.tax_rates.create({"display_name": "VAT", "percentage": 7, "inclusive": True})

    shop.v1.tax_rates.update(rate.id, {"display_name": "MwSt.", "active": False})

    assert shop.v1.tax_rates.retrieve(rate.id).display_name == "MwSt."
    assert [one.id for one in shop.v1.tax_rates.list({"active": False}).data] == [rate.id]
    assert shop.v1.tax_rates.list({"active": True}).data == []
    with pytest.raises(stripe.InvalidRequestError, match="unknown parameter"):
        shop.v1.tax_rates.update(rate.id, {"percentage": 8})  # type: ignore[typeddict-unknown-key]
    with pytest.raises(stripe.InvalidRequestError, match="between 0 and 100"):
        shop.v1.tax_rates.create({"display_name": "Loot", "percentage": 120, "inclusive": False})
    assert shop.happened().count("tax_rate.updated") == 1


def rate(shop: Shop, percentage: float, *, inclusive: bool = False) -> str:
    name = f"VAT {percentage}"
    return shop.v1.tax_rates.create(
        {"display_name": name, "percentage": percentage, "inclusive": inclusive}
    ).id


def test_one_item_may_have_another_tax_than_the_rest(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    books, rest = rate(shop, 7), rate(shop, 19)
    items = [{"price": shop.price(1000), "tax_rates": [books]}, {"price": shop.price(2000)}]
    terms: Any = {"customer": customer, "items": items, "default_tax_rates": [rest]}
    subscription = shop.v1.subscriptions.create(terms)
    assert [[one.id for one in item.tax_rates] for item in subscription["items"].data] == [[books], []]

    shop.advance(days=29)

    for invoice in shop.invoices(customer):
        taxes = [[tax.amount for tax in line.taxes or []] for line in invoice.lines.data]
        assert (taxes, invoice.amount_paid) == ([[70], [380]], 3000 + 70 + 380)


def test_a_change_midway_is_taxed_as_its_item_is(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    reduced = rate(shop, 10, inclusive=True)
    terms: Any = {"customer": customer, "items": [{"price": shop.price(1000), "tax_rates": [reduced]}]}
    subscription = shop.v1.subscriptions.create(terms)
    shop.advance(days=14)
    item = subscription["items"].data[0].id

    shop.v1.subscriptions.update(
        subscription.id, {"items": [{"id": item, "quantity": 3}], "proration_behavior": "always_invoice"}
    )

    invoice = shop.invoices(customer)[-1]
    assert (invoice.total, invoice.total_excluding_tax) == (1000, 1000 - (136 - 45))
    shop.v1.subscriptions.update(
        subscription.id, {"items": [{"id": item, "tax_rates": ""}], "proration_behavior": "none"}
    )
    assert shop.subscription(subscription.id)["items"].data[0].tax_rates == []


def test_an_extra_item_and_a_line_of_a_checkout_have_taxes_of_their_own(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    invoice = shop.v1.invoices.create({"customer": customer})
    extra: Any = {"customer": customer, "invoice": invoice.id, "amount": 500, "currency": "usd"}
    shop.v1.invoice_items.create(extra | {"tax_rates": [rate(shop, 20)]})
    assert shop.v1.invoices.retrieve(invoice.id).total == 600

    line = {"price": shop.price(1000), "quantity": 1, "tax_rates": [rate(shop, 5)]}
    name = shop.v1.checkout.sessions.create(
        {
            "mode": "subscription",
            "customer": customer,
            "line_items": [line],
            "success_url": "https://shop.example/",
        }  # type: ignore[typeddict-item]
    ).id
    assert shop.v1.checkout.sessions.retrieve(name).amount_total == 1050
    shop.pay(name)

    assert shop.invoices(customer)[-1].amount_paid == 1050
    with pytest.raises(stripe.InvalidRequestError, match="No such tax_rate"):
        shop.v1.invoice_items.create(extra | {"tax_rates": ["txr_nowhere"]})
