"""People pay, change their minds, and come back: the simulator's pages, without JavaScript."""

from __future__ import annotations

import re
from typing import Any

import pytest
import stripe

from simulator.core import Simulator
from simulator.server import Running
from tests.simulator.visitor import Visitor

CARD = {"number": "4242 4242 4242 4242", "expiry": "12 / 50", "cvc": "123"}
DECLINED = CARD | {"number": "4000000000000002"}
ASKS_3DS = CARD | {"number": "4000002500003155"}
SHOP = "https://shop.example"


@pytest.fixture
def kim(sim: Simulator, house: Running) -> Visitor:
    return Visitor(house.url)


@pytest.fixture
def price(api: stripe.StripeClient) -> str:
    product = api.v1.products.create({"name": "Pro"})
    made = api.v1.prices.create(
        {"product": product.id, "unit_amount": 2900, "currency": "usd", "recurring": {"interval": "month"}}
    )
    return made.id


def checkout(api: stripe.StripeClient, price: str, **more: Any) -> stripe.checkout.Session:
    given: dict[str, Any] = {
        "mode": "subscription",
        "line_items": [{"price": price, "quantity": 1}],
        "success_url": f"{SHOP}/welcome?session={{CHECKOUT_SESSION_ID}}",
        "cancel_url": f"{SHOP}/pricing",
    }
    if "customer" not in more:
        given["customer_email"] = "kim@example.com"
    return api.v1.checkout.sessions.create(given | more)  # type: ignore[arg-type]


def subscribe(api: stripe.StripeClient, kim: Visitor, price: str, **card: str) -> stripe.checkout.Session:
    session = checkout(api, price)
    kim.open(session.url or "").press("Pay $29.00", CARD | card)
    return api.v1.checkout.sessions.retrieve(session.id)


def portal(api: stripe.StripeClient, session: stripe.checkout.Session, **more: Any) -> str:
    given = {"customer": session.customer, "return_url": f"{SHOP}/billing"} | more
    return api.v1.billing_portal.sessions.create(given).url  # type: ignore[arg-type]


def test_kim_pays_and_is_sent_back_to_the_shop_with_an_active_subscription(
    api: stripe.StripeClient, kim: Visitor, price: str
) -> None:
    session = checkout(api, price)

    kim.open(session.url or "")
    assert "Subscribe to Pro" in kim.text
    assert "kim@example.com" in kim.text
    assert "$29.00 each month" in kim.text
    kim.press("Pay $29.00", CARD)

    assert kim.url == f"{SHOP}/welcome?session={session.id}"
    paid = api.v1.checkout.sessions.retrieve(session.id, {"expand": ["subscription"]})
    assert (paid.status, paid.payment_status) == ("complete", "paid")
    assert paid.subscription.status == "active"  # type: ignore[union-attr]


def test_five_seats_are_shown_as_seats_times_price_and_their_sum(
    api: stripe.StripeClient, kim: Visitor
) -> None:
    starter = api.v1.prices.create(
        {
            "product_data": {"name": "Starter"},
            "unit_amount": 799,
            "currency": "usd",
            "recurring": {"interval": "month"},
        }
    )

    kim.open(checkout(api, starter.id, line_items=[{"price": starter.id, "quantity": 5}]).url or "")
    assert "Starter, 5 × $7.99 $39.95 each month Due today $39.95" in kim.text

    trial = {"trial_period_days": 7}
    seats = [{"price": starter.id, "quantity": 5}]
    kim.open(checkout(api, starter.id, line_items=seats, subscription_data=trial).url or "")
    assert "Starter, 5 × $7.99 $39.95 each month" in kim.text
    assert "The first charge, $39.95, is on" in kim.text


def test_seats_with_steps_are_shown_with_their_sum(api: stripe.StripeClient, kim: Visitor) -> None:
    stepped = api.v1.prices.create(
        {
            "product_data": {"name": "Team"},
            "billing_scheme": "tiered",
            "tiers_mode": "graduated",
            "tiers": [{"up_to": 2, "unit_amount": 1000}, {"up_to": "inf", "unit_amount": 500}],
            "currency": "usd",
            "recurring": {"interval": "month"},
        }
    )

    kim.open(checkout(api, stepped.id, line_items=[{"price": stepped.id, "quantity": 5}]).url or "")

    assert "Team, 5 $35.00 each month" in kim.text


def test_the_portal_shows_seats_times_price_and_their_sum(
    api: stripe.StripeClient, kim: Visitor, price: str
) -> None:
    session = checkout(api, price, line_items=[{"price": price, "quantity": 3}])
    kim.open(session.url or "").press("Pay $87.00", CARD)

    kim.open(portal(api, api.v1.checkout.sessions.retrieve(session.id)))

    assert "Pro, 3 × $29.00 $87.00 each month" in kim.text


def test_a_declined_card_is_said_beside_the_form_and_another_card_pays(
    api: stripe.StripeClient, kim: Visitor, price: str
) -> None:
    session = checkout(api, price)

    kim.open(session.url or "").press("Pay $29.00", DECLINED)

    assert kim.status == 402
    assert "The payment did not go through. Your card was declined." in kim.text
    assert "use another card" in kim.text
    assert api.v1.checkout.sessions.retrieve(session.id).status == "open"
    kim.press("Pay $29.00", CARD)
    assert kim.url.startswith(f"{SHOP}/welcome")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"number": "4242"}, "Your card number is incomplete."),
        ({"expiry": "soon"}, "Write it as MM / YY."),
        ({"expiry": "13 / 30"}, "Write it as MM / YY."),
        ({"cvc": "1"}, "Your card's security code is incomplete."),
        ({"expiry": "01 / 20"}, "The payment did not go through."),
    ],
)
def test_a_card_typed_wrongly_is_explained_and_what_was_typed_stays(
    api: stripe.StripeClient, kim: Visitor, price: str, typed: dict[str, str], said: str
) -> None:
    kim.open(checkout(api, price).url or "").press("Pay $29.00", CARD | typed)

    assert kim.status in (402, 422)
    assert said in kim.text
    assert 'aria-invalid="true"' in kim.source
    assert f'value="{(CARD | typed)["expiry"]}"' in kim.source
    assert 'value="123"' not in kim.source


def test_who_did_not_give_an_email_is_asked_for_it(
    api: stripe.StripeClient, kim: Visitor, price: str
) -> None:
    session = checkout(api, price, customer_email="")

    kim.open(session.url or "").press("Pay $29.00", CARD)
    assert "Your e-mail address is missing." in kim.text
    kim.press("Pay $29.00", CARD, email="kim@example.com")

    paid = api.v1.checkout.sessions.retrieve(session.id, {"expand": ["customer"]})
    assert paid.customer.email == "kim@example.com"  # type: ignore[union-attr]


def test_the_bank_asks_and_kim_confirms(api: stripe.StripeClient, kim: Visitor, price: str) -> None:
    session = checkout(api, price)

    kim.open(session.url or "").press("Pay $29.00", ASKS_3DS)
    assert "is it you who wants to pay $29.00?" in kim.text
    kim.press("Complete", {"answer": "complete"})

    assert kim.url == f"{SHOP}/welcome?session={session.id}"
    assert api.v1.checkout.sessions.retrieve(session.id).payment_status == "paid"


def test_the_bank_asks_and_kim_fails_and_may_try_again(
    api: stripe.StripeClient, kim: Visitor, price: str
) -> None:
    session = checkout(api, price)

    kim.open(session.url or "").press("Pay $29.00", ASKS_3DS).press("Fail", {"answer": "fail"})

    assert "Your bank could not confirm that it is you." in kim.text
    assert api.v1.checkout.sessions.retrieve(session.id).status == "open"
    kim.press("Pay $29.00", CARD)
    assert kim.url.startswith(f"{SHOP}/welcome")


def test_a_trial_says_when_the_first_charge_comes_and_charges_nothing_today(
    api: stripe.StripeClient, kim: Visitor, price: str
) -> None:
    session = checkout(api, price, subscription_data={"trial_period_days": 14})

    kim.open(session.url or "")
    assert "14 days free. The first charge, $29.00, is on" in kim.text
    assert "Due today $0.00" in kim.text
    kim.press("Start trial", CARD)

    paid = api.v1.checkout.sessions.retrieve(session.id, {"expand": ["subscription"]})
    assert paid.subscription.status == "trialing"  # type: ignore[union-attr]


def test_a_trial_without_a_card_asks_for_none(api: stripe.StripeClient, kim: Visitor, price: str) -> None:
    session = checkout(
        api, price, subscription_data={"trial_period_days": 7}, payment_method_collection="if_required"
    )

    kim.open(session.url or "")
    assert "No card is needed now." in kim.text
    kim.press("Start trial")

    assert kim.url.startswith(f"{SHOP}/welcome")


def test_a_promotion_code_lowers_the_price_and_a_wrong_one_is_said(
    api: stripe.StripeClient, kim: Visitor, price: str
) -> None:
    coupon = api.v1.coupons.create({"percent_off": 50, "duration": "once"})
    api.v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "HALF"})
    session = checkout(api, price, allow_promotion_codes=True)

    kim.open(session.url or "").press("Apply", promotion_code="WHOLE")
    assert "That promotion code does not work." in kim.text
    kim.press("Apply", promotion_code="HALF")
    assert "−$14.50" in kim.text
    kim.press("Pay $14.50", CARD)

    paid = api.v1.checkout.sessions.retrieve(session.id, {"expand": ["invoice"]})
    assert paid.invoice.total == 1450  # type: ignore[union-attr]


def test_a_customer_who_paid_before_may_use_the_same_card_or_another(
    api: stripe.StripeClient, kim: Visitor, price: str
) -> None:
    first = subscribe(api, kim, price)
    again = checkout(api, price, customer=first.customer)
    third = checkout(api, price, customer=first.customer)

    kim.open(again.url or "")
    assert "Visa •••• 4242" in kim.text
    kim.press("Pay $29.00")
    assert kim.url.startswith(f"{SHOP}/welcome")
    kim.open(third.url or "").press("Pay $29.00", DECLINED | {"card": "new"})
    assert "Your card was declined." in kim.text


def test_a_checkout_that_is_over_says_so(api: stripe.StripeClient, kim: Visitor, price: str) -> None:
    paid, expired = subscribe(api, kim, price), checkout(api, price)
    api.v1.checkout.sessions.expire(expired.id)

    kim.open(f"/c/pay/{paid.id}")
    assert "This checkout is complete" in kim.text
    kim.open(f"/c/pay/{expired.id}")
    assert (kim.status, "This checkout has expired" in kim.text) == (410, True)
    kim.open("/c/pay/cs_test_none")
    assert (kim.status, "There is no such checkout" in kim.text) == (404, True)


def test_kim_cancels_in_the_portal_says_why_and_takes_it_back(
    api: stripe.StripeClient, kim: Visitor, price: str
) -> None:
    session = subscribe(api, kim, price)
    name = str(session.subscription)

    kim.open(portal(api, session))
    assert "Pro" in kim.text
    assert "Renews on" in kim.text
    assert "Visa •••• 4242, 12/2050" in kim.text
    kim.follow("Cancel subscription").press("Cancel subscription", reason="too_expensive")

    assert "Your subscription ends with the period you have paid for." in kim.text
    canceled = api.v1.subscriptions.retrieve(name)
    assert canceled.cancel_at_period_end or canceled.cancel_at
    assert canceled.cancellation_details.feedback == "too_expensive"  # type: ignore[union-attr]
    kim.press("Keep my subscription")
    resumed = api.v1.subscriptions.retrieve(name)
    assert not resumed.cancel_at_period_end
    assert resumed.cancel_at is None
    assert kim.follow("Return to the shop").url == f"{SHOP}/billing"


def test_a_link_straight_to_cancelling_leads_back_to_the_shop(
    api: stripe.StripeClient, kim: Visitor, price: str
) -> None:
    session = subscribe(api, kim, price)
    flow = {
        "type": "subscription_cancel",
        "subscription_cancel": {"subscription": session.subscription},
        "after_completion": {"type": "redirect", "redirect": {"return_url": f"{SHOP}/bye"}},
    }

    kim.open(portal(api, session, flow_data=flow)).press("Cancel subscription")

    assert kim.url == f"{SHOP}/bye"


def test_kim_changes_the_card_and_a_refused_one_is_said(
    api: stripe.StripeClient, kim: Visitor, price: str
) -> None:
    session = subscribe(api, kim, price)

    kim.open(portal(api, session)).follow("Change card").press("Save card", DECLINED)
    assert "Your card was declined." in kim.text
    kim.press("Save card", CARD | {"number": "5555 5555 5555 4444"})

    assert "Your card was changed." in kim.text
    assert "Mastercard •••• 4444" in kim.text


def test_the_portal_of_one_customer_does_not_touch_the_subscription_of_another(
    api: stripe.StripeClient, kim: Visitor, price: str
) -> None:
    mine, theirs = subscribe(api, kim, price), subscribe(api, Visitor(kim.base), price)
    link = portal(api, mine)

    kim.open(link).follow("Cancel subscription")
    kim.press("Cancel subscription", subscription=str(theirs.subscription))

    assert kim.status == 402
    untouched = api.v1.subscriptions.retrieve(str(theirs.subscription))
    assert untouched.cancel_at_period_end is False
    kim.open(f"{link}?cancel={theirs.subscription}")
    assert "There is no such subscription." in kim.text


def test_invoices_are_listed_opened_and_printed(api: stripe.StripeClient, kim: Visitor, price: str) -> None:
    session = subscribe(api, kim, price)
    (invoice,) = api.v1.invoices.list({"customer": str(session.customer)}).data

    kim.open(portal(api, session)).follow(str(invoice.number))
    assert f"Invoice {invoice.number}" in kim.text
    assert "Paid $29.00" in kim.text
    assert invoice.hosted_invoice_url == kim.url
    kim.follow("Download as PDF")

    assert kim.source.startswith("%PDF-1.4")
    assert str(invoice.number) in kim.source


def test_the_receipt_of_a_charge_says_what_was_paid_and_what_came_back(
    api: stripe.StripeClient, kim: Visitor, price: str
) -> None:
    session = subscribe(api, kim, price)
    (charge,) = api.v1.charges.list({"customer": str(session.customer)}).data
    api.v1.refunds.create({"charge": charge.id, "amount": 900})

    kim.open(charge.receipt_url or "")

    assert "Visa •••• 4242" in kim.text
    assert "Refunded −$9.00 Paid $20.00" in kim.text


def test_an_open_invoice_is_paid_on_its_page(api: stripe.StripeClient, kim: Visitor, price: str) -> None:
    customer = api.v1.customers.create({"email": "kim@example.com"})
    api.v1.subscriptions.create(
        {
            "customer": customer.id,
            "items": [{"price": price}],
            "collection_method": "send_invoice",
            "days_until_due": 30,
        }
    )
    (draft,) = api.v1.invoices.list({"customer": customer.id}).data
    invoice = api.v1.invoices.finalize_invoice(draft.id) if draft.status == "draft" else draft

    kim.open(invoice.hosted_invoice_url or "").press("Pay $29.00", DECLINED)
    assert "Your card was declined." in kim.text
    kim.press("Pay $29.00", CARD)

    assert "Still to pay $0.00" in kim.text
    assert api.v1.invoices.retrieve(invoice.id).status == "paid"


def test_the_overview_moves_clocks_and_sends_events_again(
    api: stripe.StripeClient, kim: Visitor, price: str
) -> None:
    clock = api.v1.test_helpers.test_clocks.create({"frozen_time": 1_800_000_000, "name": "Kim's clock"})
    api.v1.customers.create({"test_clock": clock.id, "name": "<script>alert(1)</script>"})

    kim.open("/")
    assert "Kim's clock" in kim.text
    assert "<script>" not in kim.source
    kim.press("1 day", clock=clock.id)
    assert "The clock was moved." in kim.text
    kim.press("Send again")

    assert "Sent again to 0 endpoint(s)." in kim.text
    assert api.v1.test_helpers.test_clocks.retrieve(clock.id).frozen_time == 1_800_086_400
    kim.press("Release the post").press("Hold the post")
    assert "The post is held." in kim.text


def test_every_page_says_it_is_a_simulation_and_allows_neither_scripts_nor_inline_styles(
    api: stripe.StripeClient, kim: Visitor, price: str
) -> None:
    session = subscribe(api, kim, price)
    (invoice,) = api.v1.invoices.list({"customer": str(session.customer)}).data
    open_checkout = checkout(api, price)

    for address in ("/", "/nowhere", str(open_checkout.url), portal(api, session), f"/i/{invoice.id}"):
        kim.open(address)
        assert "This is a simulation" in kim.text
        assert "default-src 'none'" in kim.headers["Content-Security-Policy"]
        assert "unsafe" not in kim.headers["Content-Security-Policy"]
        assert not re.search(r"<script|\sstyle=|\son\w+=", kim.source)
    kim.open(str(open_checkout.url))
    assert (
        SHOP in kim.headers["Content-Security-Policy"]
    )  # or the browser would stop the redirect after paying
