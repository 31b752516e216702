"""Refunds, disputes, coupons, extra items, the balance: money that moves beside subscriptions."""

from __future__ import annotations

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from simulator.billing_engine import money, periods
from tests.simulator.shop import DAY, NEW_YEAR, Shop


def charge_of(shop: Shop, customer: str) -> str:
    return shop.v1.charges.list({"customer": customer}).data[0].id


def bought(shop: Shop, token: str = "pm_card_visa") -> str:
    customer = shop.customer(pays_with=token)
    shop.subscribe(shop.price(), customer=customer)
    return customer


def test_money_goes_back_in_parts_but_never_more_than_came(shop: Shop) -> None:
    charge = charge_of(shop, bought(shop))

    shop.v1.refunds.create({"charge": charge, "amount": 900, "reason": "requested_by_customer"})
    assert not shop.v1.charges.retrieve(charge).refunded
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded"):
        shop.v1.refunds.create({"charge": charge, "amount": 2001})
    shop.v1.refunds.create({"charge": charge})

    after = shop.v1.charges.retrieve(charge, {"expand": ["refunds"]})
    assert (after.refunded, after.amount_refunded) == (True, 2900)
    assert after.refunds is not None
    assert [refund.amount for refund in after.refunds.data] == [2000, 900]
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        shop.v1.refunds.create({"charge": charge})
    assert refusal.value.code == "charge_already_refunded"
    assert shop.happened().count("charge.refunded") == 2


def test_a_refund_is_found_by_the_payment_behind_an_invoice(shop: Shop) -> None:
    customer = bought(shop)
    payment = shop.v1.invoice_payments.list({"invoice": shop.invoices(customer)[0].id}).data[0]
    intent = str(payment.payment.payment_intent)
    assert payment.status == "paid"

    shop.v1.refunds.create({"payment_intent": intent})

    assert len(shop.v1.refunds.list({"payment_intent": intent}).data) == 1
    back = shop.v1.invoice_payments.list({"payment": {"type": "payment_intent", "payment_intent": intent}})
    assert [found.invoice for found in back.data] == [shop.invoices(customer)[0].id]


def test_what_is_written_on_a_refund_is_told_by_its_old_and_its_new_name(shop: Shop) -> None:
    refund = shop.v1.refunds.create({"charge": charge_of(shop, bought(shop)), "amount": 100})
    before = len(shop.happened())

    shop.v1.refunds.update(refund.id, {"metadata": {"why": "late"}})

    assert shop.happened()[before:] == ["refund.updated", "charge.refund.updated"]


def test_a_card_whose_money_is_there_at_once_says_so(shop: Shop) -> None:
    bought(shop, "pm_card_bypassPending")

    event = shop.v1.events.list({"type": "balance.available"}).data[0]
    assert event.data.object["available"][0]["amount"] == 2900 - (84 + 30)


def test_a_disputed_charge_is_told_and_cannot_be_refunded(shop: Shop) -> None:
    charge = charge_of(shop, bought(shop, "pm_card_createDispute"))
    dispute = shop.v1.disputes.list({"charge": charge}).data[0]
    assert (dispute.status, dispute.reason) == ("needs_response", "fraudulent")
    with pytest.raises(stripe.InvalidRequestError, match="charged back"):
        shop.v1.refunds.create({"charge": charge})

    won = shop.v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": "winning_evidence"}})

    assert won.status == "won"
    told = shop.happened()
    assert "charge.dispute.created" in told and "charge.dispute.closed" in told
    assert not shop.v1.charges.retrieve(charge).disputed


def test_a_lost_dispute_stays_lost(shop: Shop) -> None:
    charge = charge_of(shop, bought(shop, "pm_card_createDispute"))

    assert shop.v1.disputes.close(shop.v1.disputes.list().data[0].id).status == "lost"
    assert shop.v1.charges.retrieve(charge).disputed


@pytest.mark.parametrize(
    ("coupon", "amounts"),
    [
        ({"percent_off": 25, "duration": "forever"}, [2175, 2175, 2175]),
        ({"percent_off": 25, "duration": "once"}, [2175, 2900, 2900]),
        (
            {"amount_off": 500, "currency": "usd", "duration": "repeating", "duration_in_months": 2},
            [2400, 2400, 2900],
        ),
        ({"amount_off": 5000, "currency": "usd", "duration": "once"}, [0, 2900, 2900]),
    ],
)
def test_a_coupon_holds_as_long_as_it_says(shop: Shop, coupon: dict[str, object], amounts: list[int]) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    name = shop.v1.coupons.create(coupon).id  # type: ignore[arg-type]
    shop.subscribe(shop.price(), customer=customer, discounts=[{"coupon": name}])

    shop.advance(days=30)
    shop.advance(days=30)

    assert [invoice.amount_paid for invoice in shop.invoices(customer)] == amounts
    first = shop.v1.invoices.retrieve(
        shop.invoices(customer)[0].id, {"expand": ["discounts", "lines.data.discounts"]}
    )
    discount = first.discounts[0]
    assert isinstance(discount, stripe.Discount) and discount.source.coupon == name
    assert first.subtotal == 2900 and first.total == amounts[0]


def test_a_coupon_that_ran_out_as_a_renewal_was_drafted_takes_nothing_off_it_later(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    name = shop.v1.coupons.create({"percent_off": 25, "duration": "repeating", "duration_in_months": 1}).id
    running = shop.subscribe(shop.price(), customer=customer, discounts=[{"coupon": name}])
    item = running["items"].data[0]
    shop.advance(to=item.current_period_end + 1)

    # Another invoice is final while the renewal is still a draft.
    shop.v1.subscriptions.update(
        running.id, {"items": [{"id": item.id, "quantity": 2}], "proration_behavior": "always_invoice"}
    )
    shop.advance(hours=2)

    [renewal] = [one for one in shop.invoices(customer) if one.billing_reason == "subscription_cycle"]
    assert renewal.amount_paid == 2900


def test_a_coupon_used_up_is_refused(shop: Shop) -> None:
    name = shop.v1.coupons.create({"percent_off": 10, "duration": "once", "max_redemptions": 1}).id
    shop.subscribe(
        shop.price(), customer=shop.customer(pays_with="pm_card_visa"), discounts=[{"coupon": name}]
    )

    with pytest.raises(stripe.InvalidRequestError, match="Coupon expired"):
        shop.subscribe(shop.price(), customer=shop.customer(), discounts=[{"coupon": name}])


def test_an_extra_item_waits_for_the_next_invoice(shop: Shop) -> None:
    customer = bought(shop)
    shop.v1.invoice_items.create(
        {"customer": customer, "amount": 750, "currency": "usd", "description": "Set-up"}
    )

    shop.advance(days=30)

    lines = shop.invoices(customer)[-1].lines.data
    assert sorted((line.description, line.amount) for line in lines) == [
        ("1 × Pro (at $29.00 / month)", 2900),
        ("Set-up", 750),
    ]


def test_an_invoice_made_by_hand_is_finalized_and_paid(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    invoice = shop.v1.invoices.create({"customer": customer, "auto_advance": False})
    item = {"customer": customer, "invoice": invoice.id, "amount": 1200, "currency": "usd"}
    shop.v1.invoice_items.create(item)  # type: ignore[arg-type]

    final = shop.v1.invoices.finalize_invoice(invoice.id)
    assert (final.status, final.amount_due) == ("open", 1200)
    assert final.number is not None and final.number.endswith("-0001")

    assert shop.v1.invoices.pay(invoice.id).status == "paid"


def test_the_balance_is_what_came_less_fees_and_refunds(shop: Shop) -> None:
    customer = bought(shop)
    shop.v1.refunds.create({"charge": charge_of(shop, customer), "amount": 1000})

    balance = shop.v1.balance.retrieve()

    assert balance.available[0].amount == 2900 - (84 + 30) - 1000


def test_a_payment_intent_is_paid_declined_or_asked_about(shop: Shop) -> None:
    def intent(token: str, **more: object) -> stripe.PaymentIntent:
        given = {"amount": 500, "currency": "usd", "payment_method": token, "confirm": True}
        return shop.v1.payment_intents.create(given | more)  # type: ignore[arg-type]

    assert intent("pm_card_visa").status == "succeeded"
    assert intent("pm_card_authenticationRequired").status == "requires_action"
    with pytest.raises(stripe.CardError) as refusal:
        intent("pm_card_visa_chargeDeclinedInsufficientFunds")
    assert refusal.value.error is not None and refusal.value.error.decline_code == "insufficient_funds"
    with pytest.raises(stripe.CardError) as absent:
        intent("pm_card_authenticationRequired", off_session=True)
    assert absent.value.code == "authentication_required"


def test_cards_that_decline_are_not_saved_except_the_one_that_is(shop: Shop) -> None:
    customer = shop.customer()
    with pytest.raises(stripe.CardError):
        shop.v1.payment_methods.attach("pm_card_chargeDeclined", {"customer": customer})

    saved = shop.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": customer})

    assert [found.id for found in shop.v1.customers.payment_methods.list(customer).data] == [saved.id]
    assert shop.v1.payment_methods.detach(saved.id).customer is None
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        shop.v1.payment_methods.attach(saved.id, {"customer": customer})


def test_a_lookup_key_moves_to_a_new_price(shop: Shop) -> None:
    old = shop.price(lookup_key="pro_monthly")
    with pytest.raises(stripe.InvalidRequestError, match="already uses that lookup key"):
        shop.price(3900, lookup_key="pro_monthly")

    new = shop.price(3900, lookup_key="pro_monthly", transfer_lookup_key=True)

    assert [price.id for price in shop.v1.prices.list({"lookup_keys": ["pro_monthly"]}).data] == [new]
    assert shop.v1.prices.retrieve(old).lookup_key is None


@given(amount=st.integers(0, 10**7), weights=st.lists(st.integers(0, 10**6), min_size=1, max_size=8))
def test_what_is_split_adds_up_again(amount: int, weights: list[int]) -> None:
    parts = money.spread(amount, weights)

    assert sum(parts) == (amount if sum(weights) else 0)


@given(
    anchor=st.integers(NEW_YEAR - 730 * DAY, NEW_YEAR + 730 * DAY),
    months=st.integers(0, 60),
    count=st.sampled_from([1, 3, 6, 12]),
)
def test_periods_touch_and_are_counted_from_the_anchor(anchor: int, months: int, count: int) -> None:
    every = {"interval": "month", "interval_count": count}
    start = periods.after(anchor, "month", months * count)

    end = periods.end_of(anchor, every, start)

    assert end == periods.after(anchor, "month", (months + 1) * count)
    assert periods.start_of(anchor, every, end) == start
    assert periods.end_of(anchor, every, end - 1) == end
