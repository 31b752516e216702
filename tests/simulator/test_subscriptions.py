"""A subscription's life: renewals, trials, changes with proration to the second, and its end."""

from __future__ import annotations

import pytest
import stripe

from simulator.billing_engine import money
from tests.simulator.shop import DAY, NEW_YEAR, Shop, at


def item_of(subscription: stripe.Subscription) -> str:
    name: str = subscription["items"].data[0].id
    return name


def period(subscription: stripe.Subscription) -> tuple[int, int]:
    item = subscription["items"].data[0]
    return item.current_period_start, item.current_period_end


def test_months_end_where_the_calendar_says_and_never_drift(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    name = shop.subscribe(shop.price(), customer=customer).id
    assert period(shop.subscription(name)) == (at(2026, 1, 31), at(2026, 2, 28))

    seen = []
    for month in (2, 3, 4, 5):
        shop.advance(to=period(shop.subscription(name))[1] + 7200)
        seen.append(period(shop.subscription(name)))
        assert month == len(seen) + 1

    assert seen == [
        (at(2026, 2, 28), at(2026, 3, 31)),
        (at(2026, 3, 31), at(2026, 4, 30)),
        (at(2026, 4, 30), at(2026, 5, 31)),
        (at(2026, 5, 31), at(2026, 6, 30)),
    ]
    assert [invoice.amount_paid for invoice in shop.invoices(customer)] == [2900] * 5


def test_a_year_is_renewed_once(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    name = shop.subscribe(shop.price(5000, every="year"), customer=customer).id

    shop.advance(to=at(2027, 1, 31, 14))

    assert period(shop.subscription(name)) == (at(2027, 1, 31), at(2028, 1, 31))
    assert [invoice.billing_reason for invoice in shop.invoices(customer)] == [
        "subscription_create",
        "subscription_cycle",
    ]


def test_a_renewal_is_a_draft_for_an_hour_before_it_is_charged(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    name = shop.subscribe(shop.price(), customer=customer).id

    shop.advance(to=at(2026, 2, 28) + 60)
    draft = shop.subscription(name).latest_invoice
    assert isinstance(draft, stripe.Invoice)
    assert (draft.status, draft.billing_reason, draft.number) == ("draft", "subscription_cycle", None)
    assert shop.subscription(name).status == "active"

    shop.advance(hours=1)
    assert [invoice.status for invoice in shop.invoices(customer)] == ["paid", "paid"]


def test_a_renewal_is_announced_a_week_before(shop: Shop) -> None:
    shop.subscribe(shop.price(), customer=shop.customer(pays_with="pm_card_visa"))

    shop.advance(to=at(2026, 2, 21) - 60)
    assert "invoice.upcoming" not in shop.happened()
    shop.advance(to=at(2026, 2, 21))

    event = shop.v1.events.list({"type": "invoice.upcoming"}).data[0]
    assert event.data.object["id"].startswith("upcoming_in_")
    assert event.data.object["amount_due"] == 2900
    assert len(shop.v1.invoices.list().data) == 1


def test_a_trial_is_warned_of_three_days_ahead_and_then_paid(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    name = shop.subscribe(shop.price(), customer=customer, trial_period_days=14).id
    assert shop.subscription(name).status == "trialing"

    shop.advance(days=11)
    assert shop.happened().count("customer.subscription.trial_will_end") == 1
    shop.advance(days=3, hours=2)

    after = shop.subscription(name)
    assert after.status == "active"
    assert period(after) == (NEW_YEAR + 14 * DAY, at(2026, 3, 14))
    assert [invoice.amount_paid for invoice in shop.invoices(customer)] == [0, 2900]
    changes = [
        event["data"]["previous_attributes"]
        for event in shop.sim.store.all("event")
        if event["type"] == "customer.subscription.updated"
    ]
    assert changes[0]["status"] == "trialing"


@pytest.mark.parametrize(("behavior", "status"), [("cancel", "canceled"), ("pause", "paused")])
def test_a_trial_without_a_card_ends_as_agreed(shop: Shop, behavior: str, status: str) -> None:
    customer = shop.customer()
    settings = {"end_behavior": {"missing_payment_method": behavior}}
    name = shop.subscribe(shop.price(), customer=customer, trial_period_days=7, trial_settings=settings).id

    shop.advance(days=8)

    assert shop.subscription(name).status == status
    if behavior == "pause":
        shop.give_card(customer, "pm_card_visa")
        assert shop.v1.subscriptions.resume(name).status == "active"
        shop.advance(hours=2)
        assert shop.invoices(customer)[-1].amount_paid == 2900


def test_a_trial_without_a_card_otherwise_ends_in_an_unpaid_invoice(shop: Shop) -> None:
    customer = shop.customer()
    name = shop.subscribe(shop.price(), customer=customer, trial_period_days=7).id

    shop.advance(days=8)

    assert shop.subscription(name).status == "past_due"
    assert shop.invoices(customer)[-1].status == "open"


def test_canceling_at_the_periods_end_ends_it_then_and_not_before(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    name = shop.subscribe(shop.price(), customer=customer).id

    shop.v1.subscriptions.update(name, {"cancel_at_period_end": True})
    shop.advance(to=at(2026, 2, 28) - 60)
    assert shop.subscription(name).status == "active"
    shop.advance(hours=2)

    ended = shop.subscription(name)
    assert (ended.status, ended.ended_at, ended.canceled_at) == ("canceled", at(2026, 2, 28), NEW_YEAR)
    assert shop.happened()[-2:] == ["customer.subscription.deleted", "test_helpers.test_clock.ready"]
    assert len(shop.invoices(customer)) == 1
    assert shop.v1.subscriptions.list({"customer": customer}).data == []
    assert len(shop.v1.subscriptions.list({"customer": customer, "status": "all"}).data) == 1


def test_canceling_during_a_trial_costs_nothing(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    name = shop.subscribe(shop.price(), customer=customer, trial_period_days=14).id
    shop.v1.subscriptions.update(name, {"cancel_at_period_end": True})

    shop.advance(days=15)

    assert shop.subscription(name).status == "canceled"
    assert [invoice.amount_due for invoice in shop.invoices(customer)] == [0]


def test_canceling_at_once_is_at_once_and_a_second_time_an_error(shop: Shop) -> None:
    name = shop.subscribe(shop.price(), customer=shop.customer(pays_with="pm_card_visa")).id

    assert shop.v1.subscriptions.cancel(name).status == "canceled"

    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.subscriptions.cancel(name)


def test_more_seats_are_charged_for_the_seconds_left(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    subscription = shop.subscribe(shop.price(1900, name="Team"), customer=customer)
    start, end = period(subscription)
    shop.advance(days=10, hours=5)
    now = NEW_YEAR + 10 * DAY + 5 * 3600

    shop.v1.subscriptions.update(
        subscription.id,
        {"items": [{"id": item_of(subscription), "quantity": 4}], "proration_behavior": "always_invoice"},
    )

    invoice = shop.invoices(customer)[-1]
    left, whole = end - now, end - start
    assert [line.amount for line in invoice.lines.data] == [
        -money.share(1900, left, whole),
        money.share(4 * 1900, left, whole),
    ]
    assert invoice.amount_paid == money.share(4 * 1900, left, whole) - money.share(1900, left, whole)
    assert (invoice.billing_reason, invoice.status) == ("subscription_update", "paid")
    descriptions = [line.description for line in invoice.lines.data]
    assert descriptions == [
        "Unused time on Team after 10 Feb 2026",
        "Remaining time on 4 × Team after 10 Feb 2026",
    ]
    parent = invoice.lines.data[0].parent
    assert parent is not None and parent.subscription_item_details is not None
    assert parent.subscription_item_details.proration


@pytest.mark.parametrize("behavior", ["always_invoice", "create_prorations", "none"])
def test_the_preview_is_the_charge_to_the_cent(shop: Shop, behavior: str) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    small, large = shop.price(1999), shop.price(4999, name="Max")
    subscription = shop.subscribe(small, customer=customer)
    shop.advance(days=9, hours=7)
    moment = NEW_YEAR + 9 * DAY + 7 * 3600
    change = {
        "items": [{"id": item_of(subscription), "price": large}],
        "proration_behavior": behavior,
        "proration_date": moment,
    }

    preview = shop.v1.invoices.create_preview(
        {"subscription": subscription.id, "subscription_details": change}  # type: ignore[typeddict-item]
    )
    assert len(shop.invoices(customer)) == 1
    shop.advance(hours=1)
    shop.v1.subscriptions.update(subscription.id, change)  # type: ignore[arg-type]
    if behavior != "always_invoice":
        shop.advance(to=period(subscription)[1] + 7200)

    charged = shop.invoices(customer)[-1]
    assert charged.amount_paid == preview.amount_due == charged.total
    assert [line.amount for line in charged.lines.data] == [line.amount for line in preview.lines.data]


def test_a_smaller_plan_leaves_a_credit_that_the_next_invoice_uses(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    subscription = shop.subscribe(shop.price(9000), customer=customer)
    small = shop.price(1000, name="Small")
    shop.advance(days=14)

    shop.v1.subscriptions.update(
        subscription.id,
        {"items": [{"id": item_of(subscription), "price": small}], "proration_behavior": "always_invoice"},
    )

    credit = shop.v1.customers.retrieve(customer).balance
    assert credit == -(4500 - 500)
    assert shop.invoices(customer)[-1].amount_due == 0
    shop.advance(to=period(subscription)[1] + 7200)
    assert shop.v1.customers.retrieve(customer).balance == credit + 1000
    assert shop.invoices(customer)[-1].amount_paid == 0


def test_going_yearly_starts_a_year_now_and_credits_the_month(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    subscription = shop.subscribe(shop.price(2800), customer=customer)
    yearly = shop.price(28000, every="year")
    shop.advance(days=14)

    changed = shop.v1.subscriptions.update(
        subscription.id, {"items": [{"id": item_of(subscription), "price": yearly}]}
    )

    assert period(changed) == (NEW_YEAR + 14 * DAY, at(2027, 2, 14))
    assert changed.billing_cycle_anchor == NEW_YEAR + 14 * DAY
    assert shop.invoices(customer)[-1].amount_paid == 28000 - 1400


def test_an_upgrade_that_must_be_paid_first_waits_for_the_payment(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    small, large = shop.price(1000), shop.price(5000, name="Max")
    subscription = shop.subscribe(small, customer=customer)
    shop.give_card(customer, "pm_card_chargeCustomerFail")
    change = {
        "items": [{"id": item_of(subscription), "price": large}],
        "proration_behavior": "always_invoice",
        "payment_behavior": "pending_if_incomplete",
    }

    held = shop.v1.subscriptions.update(subscription.id, change)  # type: ignore[arg-type]
    assert held["items"].data[0].price.id == small
    assert held.pending_update is not None and held.status == "active"

    method = shop.give_card(customer, "pm_card_visa")
    shop.v1.invoices.pay(shop.invoices(customer)[-1].id, {"payment_method": method})
    after = shop.subscription(subscription.id)
    assert (after["items"].data[0].price.id, after.pending_update) == (large, None)


def test_an_upgrade_that_is_never_paid_is_forgotten_after_23_hours(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    small, large = shop.price(1000), shop.price(5000, name="Max")
    subscription = shop.subscribe(small, customer=customer)
    shop.give_card(customer, "pm_card_chargeCustomerFail")
    shop.v1.subscriptions.update(
        subscription.id,
        {
            "items": [{"id": item_of(subscription), "price": large}],
            "proration_behavior": "always_invoice",
            "payment_behavior": "pending_if_incomplete",
        },
    )

    shop.advance(hours=24)

    after = shop.subscription(subscription.id)
    assert (after["items"].data[0].price.id, after.pending_update, after.status) == (small, None, "active")
    assert shop.invoices(customer)[-1].status == "void"


def test_an_upgrade_may_fail_as_a_whole(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    small, large = shop.price(1000), shop.price(5000, name="Max")
    subscription = shop.subscribe(small, customer=customer)
    shop.give_card(customer, "pm_card_chargeCustomerFail")

    with pytest.raises(stripe.CardError) as refusal:
        shop.v1.subscriptions.update(
            subscription.id,
            {
                "items": [{"id": item_of(subscription), "price": large}],
                "proration_behavior": "always_invoice",
                "payment_behavior": "error_if_incomplete",
            },
        )

    assert refusal.value.code == "card_declined"
    assert shop.subscription(subscription.id)["items"].data[0].price.id == small
    assert len(shop.invoices(customer)) == 1


def test_a_first_payment_that_never_comes_expires_after_23_hours(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_chargeCustomerFail")
    name = shop.subscribe(shop.price(), customer=customer).id
    assert shop.subscription(name).status == "incomplete"

    shop.advance(hours=23)

    assert shop.subscription(name).status == "incomplete_expired"
    assert shop.invoices(customer)[0].status == "void"


def test_a_page_of_ones_own_may_confirm_the_first_payment(shop: Shop) -> None:
    customer = shop.customer()
    subscription = shop.subscribe(
        shop.price(),
        customer=customer,
        payment_behavior="default_incomplete",
        payment_settings={"save_default_payment_method": "on_subscription"},
        expand=["latest_invoice.confirmation_secret"],
    )
    invoice = subscription.latest_invoice
    assert subscription.status == "incomplete"
    assert isinstance(invoice, stripe.Invoice) and invoice.confirmation_secret is not None
    intent = invoice.confirmation_secret.client_secret.partition("_secret_")[0]

    shop.v1.payment_intents.confirm(intent, {"payment_method": "pm_card_visa"})

    paid = shop.subscription(subscription.id)
    assert paid.status == "active" and paid.default_payment_method is not None
    shop.advance(days=32)
    assert [found.status for found in shop.invoices(customer)] == ["paid", "paid"]


def test_leaving_early_gives_back_what_was_not_used(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    name = shop.subscribe(shop.price(2800), customer=customer).id
    shop.advance(days=7)

    shop.v1.subscriptions.cancel(name, {"prorate": True, "invoice_now": True})

    assert shop.invoices(customer)[-1].total == -2100
    assert shop.v1.customers.retrieve(customer).balance == -2100


@pytest.mark.parametrize("invoice_now", [True, False])
def test_a_seat_added_midway_is_billed_by_the_invoice_that_ends_the_plan_or_dropped(
    shop: Shop, invoice_now: bool
) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    subscription = shop.subscribe(shop.price(2800), customer=customer)
    shop.advance(days=7)
    item = {"id": subscription["items"].data[0].id, "quantity": 2}
    shop.v1.subscriptions.update(subscription.id, {"items": [item]})

    shop.v1.subscriptions.cancel(subscription.id, {"prorate": False, "invoice_now": invoice_now})

    assert [found.total for found in shop.invoices(customer)] == [2800, *([2100] if invoice_now else [])]
    assert shop.v1.invoice_items.list({"customer": customer, "pending": True}).data == []


def test_an_invoice_of_a_plan_takes_what_waits_for_it_and_its_draft_stays(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    subscription = shop.subscribe(shop.price(2800), customer=customer).id
    shop.v1.invoice_items.create(
        {"customer": customer, "subscription": subscription, "amount": 300, "currency": "usd"}
    )
    shop.v1.subscriptions.cancel(subscription)
    with pytest.raises(stripe.InvalidRequestError, match="only specify one"):
        shop.v1.invoices.create(
            {
                "customer": customer,
                "subscription": subscription,
                "pending_invoice_items_behavior": "include",
            }
        )

    draft = shop.v1.invoices.create({"customer": customer, "subscription": subscription})

    assert draft.total == 300
    with pytest.raises(stripe.InvalidRequestError, match="only delete draft invoices"):
        shop.v1.invoices.delete(draft.id)


def test_seats_are_added_to_one_item_of_several(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    subscription = shop.subscribe(shop.price(1000), shop.price(500, name="Extra"), customer=customer)
    second = subscription["items"].data[1].id
    shop.advance(days=14)

    after = shop.v1.subscriptions.update(
        subscription.id,
        {"items": [{"id": second, "quantity": 3}], "proration_behavior": "always_invoice"},
    )

    assert [item.quantity for item in after["items"].data] == [1, 3]
    assert shop.invoices(customer)[-1].amount_paid == 500
    assert "plan" not in after.to_dict()


def test_a_subscription_without_any_card_is_refused(shop: Shop) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="no attached payment source"):
        shop.subscribe(shop.price(), customer=shop.customer())


def test_items_come_and_go(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    subscription = shop.subscribe(shop.price(1000), customer=customer)
    extra = shop.price(600, name="Extra")

    added = shop.v1.subscription_items.create(
        {"subscription": subscription.id, "price": extra, "quantity": 2}
    )
    assert added.current_period_end == period(subscription)[1]
    shop.v1.subscription_items.update(added.id, {"quantity": 3})
    shop.advance(to=period(subscription)[1] + 7200)
    assert shop.invoices(customer)[-1].lines.data[-1].amount == 1800

    shop.v1.subscription_items.delete(added.id)
    left = shop.v1.subscription_items.list({"subscription": subscription.id}).data
    assert [item.id for item in left] == [item_of(subscription)]
    with pytest.raises(stripe.InvalidRequestError, match="at least one"):
        shop.v1.subscription_items.delete(item_of(subscription))


def test_an_invoice_sent_by_mail_waits_for_its_days(shop: Shop) -> None:
    customer = shop.customer()
    name = shop.subscribe(
        shop.price(), customer=customer, collection_method="send_invoice", days_until_due=14
    ).id
    shop.advance(hours=1)
    invoice = shop.invoices(customer)[0]
    assert (invoice.status, shop.subscription(name).status) == ("open", "active")

    shop.advance(days=15)
    assert shop.subscription(name).status == "past_due"
    shop.v1.invoices.pay(invoice.id, {"paid_out_of_band": True})
    assert shop.subscription(name).status == "active"


def test_time_only_moves_forward_and_two_periods_at_most(shop: Shop) -> None:
    shop.subscribe(shop.price(), customer=shop.customer(pays_with="pm_card_visa"))

    with pytest.raises(stripe.InvalidRequestError, match="in the future"):
        shop.advance(to=NEW_YEAR)
    with pytest.raises(stripe.InvalidRequestError, match="two intervals"):
        shop.advance(days=62)
    answer = shop.v1.test_helpers.test_clocks.advance(shop.clock, {"frozen_time": NEW_YEAR + DAY})
    assert answer.status == "advancing"
    assert shop.v1.test_helpers.test_clocks.retrieve(shop.clock).status == "ready"


def test_those_without_a_clock_are_fast_forwarded_together(shop: Shop) -> None:
    customer = shop.customer(on_clock=False, pays_with="pm_card_visa")
    shop.subscribe(shop.price(), customer=customer)

    shop.sim.jump(100 * DAY)

    assert len(shop.invoices(customer)) in (4, 5)
    assert shop.v1.customers.create({}).created > shop.v1.customers.retrieve(customer).created + 99 * DAY


def test_deleting_a_customer_ends_what_they_had(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    name = shop.subscribe(shop.price(), customer=customer).id

    assert shop.v1.customers.delete(customer).deleted

    assert shop.subscription(name).status == "canceled"
    assert shop.v1.customers.retrieve(customer).deleted


def test_a_held_change_whose_invoice_is_voided_is_given_up(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    small, large = shop.price(900), shop.price(2900)
    subscription = shop.subscribe(small, customer=customer)
    shop.give_card(customer, "pm_card_chargeCustomerFail")
    held = shop.v1.subscriptions.update(
        subscription.id,
        {
            "items": [{"id": subscription["items"].data[0].id, "price": large}],
            "payment_behavior": "pending_if_incomplete",
            "proration_behavior": "always_invoice",
        },
    )
    assert held.pending_update is not None

    shop.v1.invoices.void_invoice(str(held.latest_invoice))

    after = shop.subscription(subscription.id)
    assert (after["items"].data[0].price.id, after.pending_update, after.status) == (small, None, "active")
