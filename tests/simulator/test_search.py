"""Found again: customers, invoices, subscriptions by what is known of them."""

from __future__ import annotations

import pytest
import stripe

from tests.simulator.shop import Shop


def test_customers_are_found_by_what_is_known_of_them(shop: Shop) -> None:
    ann = shop.customer(name="Ann Lee", email="ann@example.com", metadata={"team": "blue"})
    bob = shop.customer(name="Bob Lee", email="bob@example.com")

    def found(query: str) -> list[str]:
        return [one.id for one in shop.v1.customers.search({"query": query}).data]

    assert found('email:"ann@example.com"') == [ann]
    assert found('name~"lee"') == [bob, ann]
    assert found('metadata["team"]:"blue" AND name:"Ann Lee"') == [ann]
    assert found('metadata["team"]:null') == [bob]
    assert found('-metadata["team"]:null') == [ann]
    assert found('email:"ann@example.com" OR email:"bob@example.com"') == [bob, ann]
    assert found("created>1 AND created<2") == []


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("shoe size is large", "unable to parse"),
        ('shoe:"44"', "unsupported search field"),
        ('name:"a" AND name:"b" OR name:"c"', "combine AND and OR"),
        ('name>"a"', "compared with a number"),
    ],
)
def test_a_query_that_makes_no_sense_is_refused(shop: Shop, query: str, said: str) -> None:
    with pytest.raises(stripe.InvalidRequestError, match=said):
        shop.v1.customers.search({"query": query})


def test_results_come_page_by_page_and_none_twice(shop: Shop) -> None:
    made = [shop.customer(name="Lee") for _ in range(7)]

    first = shop.v1.customers.search({"query": 'name:"Lee"', "limit": 3})

    assert [one.id for one in first.auto_paging_iter()] == list(reversed(made))


def test_invoices_and_subscriptions_are_searched_too(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    subscription = shop.subscribe(shop.price(2900), customer=customer, metadata={"seat": "7"})

    by_mark = shop.v1.subscriptions.search({"query": 'status:"active" AND metadata["seat"]:"7"'})
    invoices = shop.v1.invoices.search({"query": f'subscription:"{subscription.id}" AND total>=2900'})

    assert [one.id for one in by_mark.data] == [subscription.id]
    assert [one.total for one in invoices.data] == [2900]
    assert shop.v1.invoices.search({"query": "total>2900"}).data == []
    assert shop.v1.prices.search({"query": 'active:"true"'}).data[0].unit_amount == 2900
    assert shop.v1.products.search({"query": 'name:"Pro"'}).data[0].name == "Pro"
    assert shop.v1.charges.search({"query": "amount:2900"}).data[0].customer == customer
    assert shop.v1.payment_intents.search({"query": 'status:"succeeded"'}).data[0].amount == 2900
