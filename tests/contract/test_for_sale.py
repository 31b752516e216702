"""What is sold and how it is found: products, prices by lookup key, coupons and codes, features."""

from __future__ import annotations

import pytest
import stripe

from tests.contract.counterpart import Counterpart


def test_a_price_is_found_by_its_key_and_the_key_can_move_to_the_next_price(stripe_side: Counterpart) -> None:
    key = f"pro_{stripe_side.mark}"
    product = stripe_side.product()
    old = stripe_side.price(2900, product=product, lookup_key=key)

    found = stripe_side.v1.prices.list({"lookup_keys": [key]}).data
    assert [price.id for price in found] == [old]
    assert (found[0].unit_amount, found[0].currency, found[0].type) == (2900, "usd", "recurring")

    with pytest.raises(stripe.InvalidRequestError):
        stripe_side.price(3900, product=product, lookup_key=key)
    new = stripe_side.price(3900, product=product, lookup_key=key, transfer_lookup_key=True)

    assert [price.id for price in stripe_side.v1.prices.list({"lookup_keys": [key]}).data] == [new]
    assert stripe_side.v1.prices.retrieve(old).lookup_key is None


def test_what_a_price_asks_can_never_change(stripe_side: Counterpart) -> None:
    price = stripe_side.price(2900)

    with pytest.raises(stripe.InvalidRequestError) as refused:
        stripe_side.v1.prices.update(price, {"unit_amount": 100})  # type: ignore[typeddict-unknown-key]

    assert refused.value.code == "parameter_unknown"


def test_steps_of_a_price_are_shown_when_asked_for(stripe_side: Counterpart) -> None:
    made = stripe_side.v1.prices.create(
        {
            "product": stripe_side.product(),
            "currency": "usd",
            "billing_scheme": "tiered",
            "tiers_mode": "graduated",
            "tiers": [{"up_to": 10, "unit_amount": 100}, {"up_to": "inf", "unit_amount": 50}],
            "recurring": {"interval": "month"},
        }
    )
    stripe_side.later(lambda: stripe_side.v1.prices.update(made.id, {"active": False}))

    opened = stripe_side.v1.prices.retrieve(made.id, {"expand": ["tiers"]})

    assert "tiers" not in made.to_dict()
    assert opened.tiers is not None
    assert [(tier.up_to, tier.unit_amount) for tier in opened.tiers] == [(10, 100), (None, 50)]


def test_a_code_takes_its_share_off_the_first_invoice_only(stripe_side: Counterpart) -> None:
    coupon = stripe_side.v1.coupons.create({"percent_off": 25, "duration": "once", "name": "A quarter"})
    stripe_side.later(lambda: stripe_side.v1.coupons.delete(coupon.id))
    code = stripe_side.v1.promotion_codes.create(
        {
            "promotion": {"type": "coupon", "coupon": coupon.id},
            "code": f"QUARTER{stripe_side.mark.upper()}",
        }
    )
    clock = stripe_side.clock()
    customer = stripe_side.customer(clock=clock, pays_with="pm_card_visa")

    bought = stripe_side.subscribe(customer, stripe_side.price(2900), discounts=[{"promotion_code": code.id}])
    stripe_side.advance(clock, bought["items"].data[0].current_period_end + 7200)

    invoices = stripe_side.until(lambda: _two_paid(stripe_side, customer))
    assert [(it.subtotal, it.total) for it in invoices] == [(2900, 2175), (2900, 2900)]
    assert stripe_side.v1.promotion_codes.retrieve(code.id).times_redeemed == 1


def _two_paid(side: Counterpart, customer: str) -> list[stripe.Invoice]:
    invoices = side.invoices(customer)
    return invoices if [it.status for it in invoices] == ["paid", "paid"] else []


def test_who_pays_for_a_plan_is_entitled_to_its_features(stripe_side: Counterpart) -> None:
    product = stripe_side.product()
    key = f"sso_{stripe_side.mark}"
    feature = stripe_side.v1.entitlements.features.create({"lookup_key": key, "name": "Single sign-on"})
    stripe_side.later(lambda: stripe_side.v1.entitlements.features.update(feature.id, {"active": False}))
    stripe_side.v1.products.features.create(product, {"entitlement_feature": feature.id})
    customer = stripe_side.customer(clock=stripe_side.clock(), pays_with="pm_card_visa")

    def held() -> list[str]:
        return [
            it.lookup_key
            for it in stripe_side.v1.entitlements.active_entitlements.list({"customer": customer}).data
        ]

    assert held() == []
    bought = stripe_side.subscribe(customer, stripe_side.price(product=product))
    stripe_side.until(lambda: held() == [key])
    stripe_side.v1.subscriptions.cancel(bought.id)
    stripe_side.until(lambda: held() == [])
