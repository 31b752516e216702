"""A link on a poster or in a mail: whoever opens it pays on a checkout page of his own."""

from __future__ import annotations

from typing import Any

import pytest
import stripe
from playwright.sync_api import Browser

from simulator.core import Simulator
from simulator.server import Running
from tests.simulator.test_dashboard import _is_well
from tests.simulator.visitor import Visitor

CARD = {"email": "kim@example.com", "number": "4242 4242 4242 4242", "expiry": "12 / 50", "cvc": "123"}


@pytest.fixture
def kim(sim: Simulator, house: Running) -> Visitor:
    return Visitor(house.url)


def price(api: stripe.StripeClient, **more: Any) -> str:
    given: dict[str, Any] = {"currency": "usd", "unit_amount": 2900, "product_data": {"name": "Pro"}}
    return api.v1.prices.create(given | more).id  # type: ignore[arg-type]


def link(api: stripe.StripeClient, sold: str, **more: Any) -> stripe.PaymentLink:
    given: dict[str, Any] = {"line_items": [{"price": sold, "quantity": 1}]}
    return api.v1.payment_links.create(given | more)  # type: ignore[arg-type]


def test_who_follows_a_link_subscribes_and_is_thanked(api: stripe.StripeClient, kim: Visitor) -> None:
    made = link(api, price(api, recurring={"interval": "month"}), metadata={"poster": "7"})

    kim.open(made.url).press("Pay $29.00", CARD)

    assert "Thank you" in kim.text
    assert "Your payment went through." in kim.text
    (session,) = api.v1.checkout.sessions.list({"expand": ["data.payment_link"]}).data
    assert (session.mode, session.payment_status) == ("subscription", "paid")
    assert session.metadata is not None
    assert session.metadata["poster"] == "7"
    assert isinstance(session.payment_link, stripe.PaymentLink)
    assert session.payment_link.id == made.id
    (bought,) = api.v1.subscriptions.list().data
    assert bought.status == "active"


def test_everybody_who_opens_a_link_gets_a_checkout_of_his_own(
    api: stripe.StripeClient, kim: Visitor, house: Running
) -> None:
    made = link(api, price(api))

    kim.open(made.url)
    lee = Visitor(house.url).open(made.url)

    assert kim.url != lee.url
    kim.press("Pay $29.00", CARD)
    lee.press("Pay $29.00", CARD | {"email": "lee@example.com"})
    assert len(api.v1.charges.list().data) == 2


def test_a_link_can_lead_on_to_the_shop_or_say_something_of_its_own(
    api: stripe.StripeClient, kim: Visitor
) -> None:
    to_shop = {"type": "redirect", "redirect": {"url": "https://shop.example/welcome"}}
    in_words = {"type": "hosted_confirmation", "hosted_confirmation": {"custom_message": "See you on stage!"}}

    kim.open(link(api, price(api), after_completion=to_shop).url).press("Pay $29.00", CARD)
    assert kim.url == "https://shop.example/welcome"

    kim.open(link(api, price(api), after_completion=in_words).url).press("Pay $29.00", CARD)
    assert "See you on stage!" in kim.text


def test_a_link_may_know_who_comes_and_why(api: stripe.StripeClient, kim: Visitor) -> None:
    made = link(api, price(api))

    kim.open(f"{made.url}?prefilled_email=kim%40example.com&client_reference_id=poster-7")

    assert "kim@example.com" in kim.source
    (session,) = api.v1.checkout.sessions.list().data
    assert session.client_reference_id == "poster-7"


def test_a_link_that_is_switched_off_or_never_was_leads_nowhere_in_words(
    api: stripe.StripeClient, kim: Visitor, house: Running
) -> None:
    made = link(api, price(api))
    api.v1.payment_links.update(made.id, {"active": False, "inactive_message": "The concert is over."})

    kim.open(made.url)
    assert (kim.status, "The concert is over. Nothing was charged." in kim.text) == (410, True)
    kim.open(f"{house.url}/payment-links/plink_nobody")
    assert (kim.status, "This link leads nowhere" in kim.text) == (404, True)
    kim.open(f"{house.url}/payment-links/plink_nobody/thanks")
    assert kim.status == 404
    assert api.v1.checkout.sessions.list().data == []


def test_what_a_link_sells_is_listed_and_shown_when_asked_for(
    api: stripe.StripeClient, sim: Simulator
) -> None:
    made = link(api, price(api))

    listed = api.v1.payment_links.line_items.list(made.id).data
    opened = api.v1.payment_links.retrieve(made.id, {"expand": ["line_items"]})

    assert [(it.amount_total, it.quantity) for it in listed] == [(2900, 1)]
    assert opened.line_items is not None
    assert [it.id for it in opened.line_items.data] == [it.id for it in listed]


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_its_pages_are_accessible_and_fit_a_narrow_phone(
    api: stripe.StripeClient, house: Running, browser: Browser, scheme: Any
) -> None:
    made = link(api, price(api))
    context = browser.new_context(viewport={"width": 320, "height": 700}, color_scheme=scheme)
    page = context.new_page()
    try:
        for path in ("", "/thanks"):
            page.goto(made.url + path)
            _is_well(page)
        page.goto(f"{house.url}/payment-links/plink_nobody")
        _is_well(page)
    finally:
        context.close()
