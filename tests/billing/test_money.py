"""Amounts, prices and quantities read as a customer would say them."""

import pytest
from django.template import Context, Template

from billing import catalog, money


@pytest.mark.parametrize(
    ("amount", "currency", "said", "shortly"),
    [
        (2900, "usd", "$29.00", "$29"),
        (499, "usd", "$4.99", "$4.99"),
        (50, "USD", "$0.50", "$0.50"),
        (0, "usd", "$0.00", "$0"),
        (-1250, "usd", "-$12.50", "-$12.50"),
        (123456789, "usd", "$1,234,567.89", "$1,234,567.89"),
        (480000, "usd", "$4,800.00", "$4,800"),
        (1900, "eur", "€19.00", "€19"),
        (500, "jpy", "¥500", "¥500"),
        (5000, "kwd", "KWD\xa05.000", "KWD\xa05"),
        (500, "isk", "ISK\xa05", "ISK\xa05"),
    ],
)
def test_an_amount_in_the_smallest_unit_is_said_in_the_currencys_own(amount, currency, said, shortly):
    assert money.text(amount, currency) == said
    assert money.text(amount, currency, short=True) == shortly


@pytest.mark.parametrize(
    ("business", "lookup_key", "said"),
    [
        ("kaboot", "kaboot_pro_month", "$5.00 a month"),
        ("kaboot", "kaboot_pro_year", "$50.00 a year"),
        ("hybrid", "hybrid_team_month", "$19.00 a seat and month"),
        ("hybrid", "hybrid_payg_tokens", "$0.50 a token"),
    ],
)
def test_a_price_is_said_in_a_phrase(business, lookup_key, said):
    assert money.price_phrase(catalog.load(catalog.file_of(business)).price(lookup_key)) == said


def test_quantities_are_counted_in_the_features_own_words():
    automation = catalog.load(catalog.file_of("automation"))
    projects, storage = automation.feature("projects"), automation.feature("storage_bytes")

    assert money.quantity(1, projects) == "1 project"
    assert money.quantity(1000, projects) == "1,000 projects"
    assert money.quantity(0, projects) == "0 projects"
    assert money.quantity(None, projects) == "unlimited"
    assert money.quantity(10 * 1024**3, storage) == "10 GB"
    assert money.quantity(1536 * 1024, storage) == "1.5 MB"
    assert money.quantity(512, storage) == "512 bytes"


def test_a_page_says_an_amount_and_a_dash_for_an_unknown_one():
    page = Template(
        '{% load money %}{% money 2900 "usd" %} {% short_money 2900 "usd" %} {% money None "usd" %}'
    )

    assert page.render(Context()) == "$29.00 $29 –"
