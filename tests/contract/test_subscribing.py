"""A subscription's life: begun, changed, renewed, left unpaid, ended."""

from __future__ import annotations

import pytest
import stripe

from tests.contract.counterpart import DAY, Counterpart


def _ends(subscription: stripe.Subscription) -> int:
    return subscription["items"].data[0].current_period_end


def _latest(subscription: stripe.Subscription) -> stripe.Invoice:
    assert isinstance(subscription.latest_invoice, stripe.Invoice)
    return subscription.latest_invoice


def test_a_plan_bought_with_a_good_card_is_active_and_paid(stripe_side: Counterpart) -> None:
    customer = stripe_side.customer(clock=stripe_side.clock(), pays_with="pm_card_visa")

    bought = stripe_side.subscribe(customer, stripe_side.price(2900), expand=["latest_invoice"])

    invoice = _latest(bought)
    assert bought.status == "active"
    assert (invoice.status, invoice.total, invoice.amount_paid) == ("paid", 2900, 2900)
    assert invoice.billing_reason == "subscription_create"
    assert invoice.parent is not None
    assert invoice.parent.subscription_details is not None
    assert invoice.parent.subscription_details.subscription == bought.id
    (line,) = invoice.lines.data
    assert line.pricing is not None
    assert line.pricing.price_details is not None
    assert line.pricing.price_details.price == bought["items"].data[0].price.id
    assert (line.period.start, line.period.end) == (
        bought["items"].data[0].current_period_start,
        _ends(bought),
    )


def test_a_refused_card_begins_nothing_when_nothing_is_to_begin_unpaid(stripe_side: Counterpart) -> None:
    customer = stripe_side.customer(clock=stripe_side.clock(), pays_with="pm_card_chargeCustomerFail")

    with pytest.raises(stripe.CardError) as refused:
        stripe_side.subscribe(customer, stripe_side.price(), payment_behavior="error_if_incomplete")

    assert (refused.value.http_status, refused.value.code) == (402, "card_declined")
    assert stripe_side.v1.subscriptions.list({"customer": customer, "status": "all"}).data == []


def test_a_card_whose_bank_asks_leaves_the_plan_incomplete(stripe_side: Counterpart) -> None:
    customer = stripe_side.customer(clock=stripe_side.clock(), pays_with="pm_card_authenticationRequired")

    bought = stripe_side.subscribe(
        customer,
        stripe_side.price(),
        payment_behavior="allow_incomplete",
        expand=["latest_invoice.confirmation_secret"],
    )

    assert bought.status == "incomplete"
    invoice = _latest(bought)
    assert invoice.status == "open"
    assert invoice.confirmation_secret is not None
    payments = stripe_side.v1.invoice_payments.list(
        {"invoice": invoice.id, "expand": ["data.payment.payment_intent"]}
    )
    intent = payments.data[0].payment.payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    assert intent.status == "requires_action"
    stripe_side.until(lambda: stripe_side.told(customer, "invoice.payment_action_required"))


def test_an_upgrade_costs_what_its_preview_said(stripe_side: Counterpart) -> None:
    clock = stripe_side.clock()
    customer = stripe_side.customer(clock=clock, pays_with="pm_card_visa")
    product = stripe_side.product()
    small, large = stripe_side.price(2900, product=product), stripe_side.price(9900, product=product)
    bought = stripe_side.subscribe(customer, small)
    item = bought["items"].data[0].id
    stripe_side.advance(clock, stripe_side.now(clock) + 10 * DAY)
    moment = stripe_side.now(clock)

    preview = stripe_side.v1.invoices.create_preview(
        {
            "customer": customer,
            "subscription": bought.id,
            "subscription_details": {
                "items": [{"id": item, "price": large}],
                "proration_behavior": "always_invoice",
                "proration_date": moment,
            },
        }
    )
    changed = stripe_side.v1.subscriptions.update(
        bought.id,
        {
            "items": [{"id": item, "price": large}],
            "proration_behavior": "always_invoice",
            "proration_date": moment,
            "payment_behavior": "error_if_incomplete",
            "expand": ["latest_invoice"],
        },
    )

    invoice = _latest(changed)
    assert invoice.billing_reason == "subscription_update"
    assert invoice.total == preview.total > 0
    assert sorted(line.amount for line in invoice.lines.data) == sorted(
        line.amount for line in preview.lines.data
    )
    assert invoice.status == "paid"
    assert _ends(changed) == _ends(bought)


def test_a_trial_costs_nothing_and_ends_in_the_first_payment(stripe_side: Counterpart) -> None:
    clock = stripe_side.clock()
    customer = stripe_side.customer(clock=clock, pays_with="pm_card_visa")

    bought = stripe_side.subscribe(
        customer, stripe_side.price(), trial_period_days=14, expand=["latest_invoice"]
    )
    assert (bought.status, _latest(bought).total, _latest(bought).status) == ("trialing", 0, "paid")
    assert bought.trial_end == _ends(bought)

    stripe_side.advance(clock, _ends(bought) + 7200)

    stripe_side.until(lambda: stripe_side.subscription(bought.id).status == "active")
    stripe_side.until(lambda: [it.amount_paid for it in stripe_side.invoices(customer)] == [0, 2900])
    stripe_side.until(lambda: stripe_side.told(customer, "customer.subscription.trial_will_end"))


def test_a_trial_without_a_card_ends_as_it_was_agreed(stripe_side: Counterpart) -> None:
    clock = stripe_side.clock()
    customer = stripe_side.customer(clock=clock)

    bought = stripe_side.subscribe(
        customer,
        stripe_side.price(),
        trial_period_days=7,
        trial_settings={"end_behavior": {"missing_payment_method": "cancel"}},
    )
    stripe_side.advance(clock, _ends(bought) + 7200)

    ended = stripe_side.until(lambda: _if_status(stripe_side, bought.id, "canceled"))
    assert ended.ended_at is not None


def _if_status(side: Counterpart, name: str, status: str) -> stripe.Subscription | None:
    found = side.subscription(name)
    return found if found.status == status else None


def test_a_month_later_the_plan_is_renewed_and_paid(stripe_side: Counterpart) -> None:
    clock = stripe_side.clock()
    customer = stripe_side.customer(clock=clock, pays_with="pm_card_visa")
    bought = stripe_side.subscribe(customer, stripe_side.price(2900))

    # An invoice stays a draft for about an hour before it is finalized and paid.
    stripe_side.advance(clock, _ends(bought) + 7200)

    stripe_side.until(lambda: [it.status for it in stripe_side.invoices(customer)] == ["paid", "paid"])
    first, second = stripe_side.invoices(customer)
    assert (first.billing_reason, second.billing_reason) == ("subscription_create", "subscription_cycle")
    assert second.amount_paid == 2900
    renewed = stripe_side.subscription(bought.id)
    assert renewed["items"].data[0].current_period_start == _ends(bought)
    assert renewed.billing_cycle_anchor == bought.billing_cycle_anchor


def test_a_failed_renewal_is_past_due_until_another_card_pays_it(stripe_side: Counterpart) -> None:
    clock = stripe_side.clock()
    customer = stripe_side.customer(clock=clock, pays_with="pm_card_visa")
    bought = stripe_side.subscribe(customer, stripe_side.price(2900))
    stripe_side.card(customer, "pm_card_chargeCustomerFail")

    stripe_side.advance(clock, _ends(bought) + 7200)

    overdue = stripe_side.until(lambda: _if_status(stripe_side, bought.id, "past_due"))
    invoice = _latest(overdue)
    assert (invoice.status, invoice.attempted, invoice.amount_remaining) == ("open", True, 2900)
    stripe_side.until(lambda: stripe_side.told(customer, "invoice.payment_failed"))
    assert invoice.id is not None
    with pytest.raises(stripe.CardError):
        stripe_side.v1.invoices.pay(invoice.id)

    stripe_side.card(customer, "pm_card_visa")
    paid = stripe_side.v1.invoices.pay(invoice.id)

    assert (paid.status, paid.amount_remaining) == ("paid", 0)
    stripe_side.until(lambda: _if_status(stripe_side, bought.id, "active"))


def test_who_cancels_keeps_what_was_paid_for_and_can_come_back_until_then(stripe_side: Counterpart) -> None:
    clock = stripe_side.clock()
    customer = stripe_side.customer(clock=clock, pays_with="pm_card_visa")
    bought = stripe_side.subscribe(customer, stripe_side.price())

    leaving = stripe_side.v1.subscriptions.update(bought.id, {"cancel_at_period_end": True})
    assert (leaving.status, leaving.cancel_at_period_end, leaving.cancel_at) == (
        "active",
        True,
        _ends(bought),
    )
    staying = stripe_side.v1.subscriptions.update(bought.id, {"cancel_at_period_end": False})
    assert (staying.cancel_at_period_end, staying.cancel_at) == (False, None)
    stripe_side.v1.subscriptions.update(bought.id, {"cancel_at_period_end": True})
    stripe_side.advance(clock, _ends(bought) + 7200)

    stripe_side.until(lambda: _if_status(stripe_side, bought.id, "canceled"))
    assert len(stripe_side.invoices(customer)) == 1
    stripe_side.until(lambda: stripe_side.told(customer, "customer.subscription.deleted"))


def test_a_plan_canceled_at_once_is_over_and_cannot_be_changed(stripe_side: Counterpart) -> None:
    customer = stripe_side.customer(clock=stripe_side.clock(), pays_with="pm_card_visa")
    bought = stripe_side.subscribe(customer, stripe_side.price())

    over = stripe_side.v1.subscriptions.cancel(bought.id)

    assert over.status == "canceled"
    assert over.canceled_at is not None
    with pytest.raises(stripe.InvalidRequestError):
        stripe_side.v1.subscriptions.update(bought.id, {"cancel_at_period_end": False})
    assert stripe_side.v1.subscriptions.list({"customer": customer}).data == []
    everything = stripe_side.v1.subscriptions.list({"customer": customer, "status": "all"}).data
    assert [it.id for it in everything] == [bought.id]


def test_a_change_planned_for_the_next_period_comes_then(stripe_side: Counterpart) -> None:
    clock = stripe_side.clock()
    customer = stripe_side.customer(clock=clock, pays_with="pm_card_visa")
    product = stripe_side.product()
    large, small = stripe_side.price(9900, product=product), stripe_side.price(2900, product=product)
    bought = stripe_side.subscribe(customer, large)

    plan = stripe_side.v1.subscription_schedules.create({"from_subscription": bought.id})
    begun = plan.phases[0]
    stripe_side.v1.subscription_schedules.update(
        plan.id,
        {
            "end_behavior": "release",
            "phases": [
                {
                    "items": [{"price": large, "quantity": 1}],
                    "start_date": begun.start_date,
                    "end_date": begun.end_date,
                },
                {
                    "items": [{"price": small, "quantity": 1}],
                    "duration": {"interval": "month", "interval_count": 1},
                },
            ],
        },
    )
    assert stripe_side.subscription(bought.id)["items"].data[0].price.id == large
    stripe_side.advance(clock, _ends(bought) + 7200)

    stripe_side.until(lambda: stripe_side.subscription(bought.id)["items"].data[0].price.id == small)
    stripe_side.until(lambda: [it.amount_paid for it in stripe_side.invoices(customer)] == [9900, 2900])

    released = stripe_side.v1.subscription_schedules.release(plan.id)
    assert (released.status, released.released_subscription) == ("released", bought.id)
