"""What a preview says is what the invoice takes, to the cent, whatever changes and whenever."""

from __future__ import annotations

from typing import Any

import pytest
import stripe
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.core import Simulator
from simulator.in_process import InProcess
from tests.simulator.shop import DAY, NEW_YEAR, Shop

amounts = st.integers(min_value=1, max_value=99_999)
quantities = st.integers(min_value=1, max_value=40)
changes = st.fixed_dictionaries(
    {
        "before": st.tuples(amounts, quantities),
        "after": st.tuples(amounts, quantities),
        "every": st.sampled_from(["month", "year"]),
        "waits": st.integers(min_value=1, max_value=27 * DAY),
        "percent_off": st.sampled_from([None, 15, 33.33]),
        "taxed": st.booleans(),
        "tiered": st.booleans(),
        "proration_behavior": st.sampled_from(["always_invoice", "create_prorations", "none"]),
        "goes_back": st.integers(min_value=0, max_value=600),
    }
)


def shop_of_its_own() -> Shop:
    sim = Simulator()
    sim.deliveries.set_hold(True)
    return Shop(sim, stripe.StripeClient("sk_test_" + "0" * 24, http_client=InProcess(sim)))


def dear(shop: Shop, amount: int, every: str, *, tiered: bool) -> str:
    if not tiered:
        return shop.price(amount, every=every)
    tiers = [
        {"up_to": 5, "unit_amount": amount},
        {"up_to": "inf", "unit_amount": amount // 2, "flat_amount": 7},
    ]
    product = shop.v1.products.create({"name": "Tiered"}).id
    terms: Any = {
        "product": product,
        "currency": "usd",
        "billing_scheme": "tiered",
        "tiers_mode": "graduated",
        "tiers": tiers,
        "recurring": {"interval": every},
    }
    return shop.v1.prices.create(terms).id


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(changes)
def test_a_preview_equals_the_invoice_that_follows(case: dict[str, Any]) -> None:
    shop = shop_of_its_own()
    customer = shop.customer(pays_with="pm_card_visa")
    (old, few), (new, many) = case["before"], case["after"]
    terms: Any = {
        "customer": customer,
        "items": [{"price": shop.price(old), "quantity": few}],
        "automatic_tax": {"enabled": case["taxed"]},
    }
    if case["percent_off"]:
        coupon = shop.v1.coupons.create({"percent_off": case["percent_off"], "duration": "forever"}).id
        terms["discounts"] = [{"coupon": coupon}]
    subscription = shop.v1.subscriptions.create(terms)
    moment = NEW_YEAR + case["waits"]
    shop.advance(to=moment)
    price = dear(shop, new, case["every"], tiered=case["tiered"])
    change: Any = {
        "items": [{"id": subscription["items"].data[0].id, "price": price, "quantity": many}],
        "proration_behavior": case["proration_behavior"],
        "proration_date": max(NEW_YEAR, moment - case["goes_back"]),
    }

    seen = shop.v1.invoices.create_preview({"subscription": subscription.id, "subscription_details": change})
    shop.v1.subscriptions.update(subscription.id, change)
    if len(shop.invoices(customer)) == 1 and case["every"] == "month":
        shop.advance(days=29)

    made = shop.invoices(customer)[1]
    assert (seen.subtotal, seen.total, seen.amount_due) == (made.subtotal, made.total, made.amount_due)
    assert [line.amount for line in seen.lines.data] == [line.amount for line in made.lines.data]


@pytest.mark.parametrize("days", [0, 14])
def test_the_preview_of_a_new_subscription_is_its_first_invoice(shop: Shop, days: int) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    asked: Any = {"items": [{"price": shop.price(1234), "quantity": 3}]}
    if days:
        asked["trial_end"] = NEW_YEAR + days * DAY

    seen = shop.v1.invoices.create_preview({"customer": customer, "subscription_details": asked})
    shop.v1.subscriptions.create({"customer": customer, **asked})

    assert seen.total == shop.invoices(customer)[0].total == (0 if days else 3702)


# One life of a subscription: what is changed, after how many days, and how it is to be charged.
steps = st.lists(
    st.fixed_dictionaries(
        {
            "what": st.sampled_from(
                ["quantity", "price", "add", "remove", "interval", "anchor", "taxes", "extra"]
            ),
            "number": st.integers(min_value=1, max_value=30),
            "amount": amounts,
            "kind": st.sampled_from(["per_unit", "graduated", "volume", "packs"]),
            "waits": st.integers(min_value=60, max_value=6 * DAY),
            "charged": st.sampled_from(["always_invoice", "create_prorations", "none"]),
            "back": st.integers(min_value=0, max_value=600),
        }
    ),
    min_size=1,
    max_size=4,
)
lives = st.fixed_dictionaries(
    {
        "steps": steps,
        "percent_off": st.sampled_from([None, 20, 12.5]),
        "amount_off": st.sampled_from([None, 700]),
        "tax": st.sampled_from(["none", "automatic", "inclusive", "exclusive"]),
        "balance": st.sampled_from([0, -5000, 300]),
        "anchored": st.booleans(),
    }
)


def kind_of_price(shop: Shop, amount: int, kind: str, *, every: str = "month") -> str:
    if kind == "packs":
        return shop.price(amount, every=every, transform_quantity={"divide_by": 4, "round": "up"})
    if kind == "per_unit":
        return shop.price(amount, every=every)
    tiers = [
        {"up_to": 3, "unit_amount": amount, "flat_amount": 11},
        {"up_to": 12, "unit_amount": amount // 2},
        {"up_to": "inf", "unit_amount_decimal": "33.3"},
    ]
    terms: Any = {
        "product": shop.v1.products.create({"name": kind}).id,
        "currency": "usd",
        "billing_scheme": "tiered",
        "tiers_mode": kind,
        "tiers": tiers,
        "recurring": {"interval": every},
    }
    return shop.v1.prices.create(terms).id


def begun(shop: Shop, life: dict[str, Any]) -> stripe.Subscription:
    customer = shop.customer(pays_with="pm_card_visa", balance=life["balance"])
    first = [{"price": shop.price(1700), "quantity": 3}, {"price": shop.price(450, name="Extra")}]
    terms: Any = {"customer": customer, "items": first}
    if life["percent_off"]:
        coupon = shop.v1.coupons.create({"percent_off": life["percent_off"], "duration": "forever"}).id
        terms["discounts"] = [{"coupon": coupon}]
    if life["amount_off"]:
        coupon = shop.v1.coupons.create(
            {"amount_off": life["amount_off"], "currency": "usd", "duration": "forever"}
        ).id
        terms.setdefault("discounts", []).append({"coupon": coupon})
    if life["tax"] == "automatic":
        terms["automatic_tax"] = {"enabled": True}
    elif life["tax"] != "none":
        terms["default_tax_rates"] = [rate(shop, 19, inclusive=life["tax"] == "inclusive")]
    if life["anchored"]:
        terms["billing_cycle_anchor"] = NEW_YEAR + 26 * DAY
    return shop.v1.subscriptions.create(terms)


def rate(shop: Shop, percentage: float, *, inclusive: bool) -> str:
    name = f"VAT {percentage}"
    return shop.v1.tax_rates.create(
        {"display_name": name, "percentage": percentage, "inclusive": inclusive}
    ).id


def change_of(shop: Shop, items: list[Any], step: dict[str, Any]) -> dict[str, Any]:
    first, last = items[0], items[-1]
    match step["what"]:
        case "price":
            price = kind_of_price(shop, step["amount"], step["kind"])
            return {"items": [{"id": first.id, "price": price, "quantity": step["number"]}]}
        case "add":
            price = kind_of_price(shop, step["amount"], step["kind"])
            return {"items": [{"price": price, "quantity": step["number"]}]}
        case "remove" if len(items) > 1:
            return {"items": [{"id": last.id, "deleted": True}, {"id": first.id, "quantity": 2}]}
        case "interval" if len(items) == 1:
            price = kind_of_price(shop, step["amount"], step["kind"], every="week")
            return {"items": [{"id": first.id, "price": price, "quantity": step["number"]}]}
        case "anchor":
            return {"billing_cycle_anchor": "now"}
        case "taxes":
            taxes = [rate(shop, 7, inclusive=False)]
            return {"items": [{"id": last.id, "quantity": step["number"], "tax_rates": taxes}]}
    return {"items": [{"id": first.id, "quantity": step["number"]}]}


def shown(invoice: stripe.Invoice) -> tuple[Any, ...]:
    return (
        [line.amount for line in invoice.lines.data],
        invoice.subtotal,
        invoice.total,
        invoice.amount_due,
        sum(tax.amount for tax in invoice.total_taxes or []),
    )


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(lives)
def test_every_change_of_a_life_is_previewed_to_the_cent_and_so_is_what_comes_of_all(
    life: dict[str, Any],
) -> None:
    shop = shop_of_its_own()
    subscription = begun(shop, life)
    customer, moment = str(subscription.customer), NEW_YEAR
    for step in life["steps"]:
        moment += step["waits"]
        shop.advance(to=moment)
        now = shop.subscription(subscription.id)
        started = max(item.current_period_start for item in now["items"].data)
        change: Any = change_of(shop, now["items"].data, step) | {
            "proration_behavior": step["charged"],
            "proration_date": max(started, moment - step["back"]),
        }
        extra: Any = {"price_data": one_time(shop, step["amount"]), "quantity": 2}
        asked: Any = {"subscription": subscription.id, "subscription_details": change}
        if step["what"] == "extra":
            asked["invoice_items"] = [extra]
            change = change | {"add_invoice_items": [extra]}

        seen = shop.v1.invoices.create_preview(asked)
        before = len(shop.invoices(customer))
        shop.v1.subscriptions.update(subscription.id, change)

        if len(shop.invoices(customer)) > before:
            assert shown(shop.invoices(customer)[-1]) == shown(seen)
        else:
            later = shop.v1.invoices.create_preview({"subscription": subscription.id})
            if step["charged"] != "always_invoice":  # else there was nothing to charge now
                assert shown(later) == shown(seen)

    seen = shop.v1.invoices.create_preview({"subscription": subscription.id})
    ends = min(item.current_period_end for item in shop.subscription(subscription.id)["items"].data)
    shop.advance(to=ends + 60)
    assert shown(shop.invoices(customer)[-1]) == shown(seen)


def one_time(shop: Shop, amount: int) -> dict[str, Any]:
    product = shop.v1.products.create({"name": "Extra work"}).id
    return {"product": product, "currency": "usd", "unit_amount": amount}


def test_a_preview_may_suppose_discounts_and_taxes_and_redeems_nothing(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    coupon = shop.v1.coupons.create({"percent_off": 50, "duration": "once"}).id
    subscription = shop.subscribe(shop.price(1000), customer=customer)

    seen = shop.v1.invoices.create_preview(
        {
            "subscription": subscription.id,
            "discounts": [{"coupon": coupon}],
            "subscription_details": {"default_tax_rates": [rate(shop, 10, inclusive=False)]},
        }
    )
    new = shop.v1.invoices.create_preview(
        {
            "customer": customer,
            "discounts": [{"coupon": coupon}],
            "automatic_tax": {"enabled": True},
            "subscription_details": {"items": [{"price": shop.price(3000), "quantity": 2}]},
        }
    )

    assert (seen.total, new.total) == (550, 3300)
    assert shop.v1.coupons.retrieve(coupon).times_redeemed == 0
    assert shop.subscription(subscription.id).discounts == []
    with pytest.raises(stripe.InvalidRequestError, match="No such coupon"):
        shop.v1.invoices.create_preview({"subscription": subscription.id, "discounts": [{"coupon": "none"}]})


def test_a_preview_of_leaving_now_is_the_last_invoice(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    subscription = shop.subscribe(shop.price(2800), customer=customer)
    shop.advance(days=7)
    leaving: Any = {"cancel_now": True, "proration_behavior": "always_invoice"}

    seen = shop.v1.invoices.create_preview({"subscription": subscription.id, "subscription_details": leaving})
    shop.v1.subscriptions.cancel(subscription.id, {"prorate": True, "invoice_now": True})

    assert seen.total == shop.invoices(customer)[-1].total == -2100


def test_a_preview_may_show_what_will_be_charged_each_time(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    subscription = shop.subscribe(shop.price(2800), customer=customer)
    shop.v1.invoice_items.create({"customer": customer, "amount": 999, "currency": "usd"})
    shop.advance(days=7)
    change: Any = {"items": [{"id": subscription["items"].data[0].id, "quantity": 3}]}

    seen = shop.v1.invoices.create_preview(
        {"subscription": subscription.id, "subscription_details": change, "preview_mode": "recurring"}
    )

    assert [line.amount for line in seen.lines.data] == [8400]
