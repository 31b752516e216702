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
