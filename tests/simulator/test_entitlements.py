"""What a customer may do, by the features of the products they subscribe to."""

from __future__ import annotations

import pytest
import stripe

from tests.simulator.shop import Shop

CHANGED = "entitlements.active_entitlement_summary.updated"


def may(shop: Shop, customer: str) -> list[str]:
    found = shop.v1.entitlements.active_entitlements.list({"customer": customer}).data
    return sorted(one.lookup_key for one in found)


@pytest.fixture
def price(shop: Shop) -> str:
    """A price whose product brings API access."""
    price = shop.price()
    feature = shop.v1.entitlements.features.create({"name": "API access", "lookup_key": "api_access"})
    product = str(shop.v1.prices.retrieve(price).product)
    shop.v1.products.features.create(product, {"entitlement_feature": feature.id})
    return price


def test_who_subscribes_has_the_features_and_who_leaves_has_not(shop: Shop, price: str) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    assert may(shop, customer) == []

    subscription = shop.subscribe(price, customer=customer)
    assert may(shop, customer) == ["api_access"]
    one = shop.v1.entitlements.active_entitlements.list(
        {"customer": customer, "expand": ["data.feature"]}
    ).data[0]
    assert one.feature.name == "API access"  # type: ignore[union-attr]
    assert shop.v1.entitlements.active_entitlements.retrieve(one.id).lookup_key == "api_access"

    shop.v1.subscriptions.cancel(subscription.id)

    assert may(shop, customer) == []
    assert shop.happened().count(CHANGED) == 2


def test_a_payment_not_made_brings_nothing(shop: Shop, price: str) -> None:
    customer = shop.customer()

    shop.subscribe(price, customer=customer, payment_behavior="default_incomplete")

    assert may(shop, customer) == []
    assert CHANGED not in shop.happened()


def test_another_plan_brings_its_own_features(shop: Shop, price: str) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    subscription = shop.subscribe(price, customer=customer)

    item = subscription["items"].data[0].id
    shop.v1.subscriptions.update(subscription.id, {"items": [{"id": item, "price": shop.price(900)}]})

    assert may(shop, customer) == []


def test_features_are_attached_once_renamed_put_away_and_detached(shop: Shop, price: str) -> None:
    product = str(shop.v1.prices.retrieve(price).product)
    feature = shop.v1.entitlements.features.list({"lookup_key": "api_access"}).data[0]
    with pytest.raises(stripe.InvalidRequestError, match="already attached"):
        shop.v1.products.features.create(product, {"entitlement_feature": feature.id})
    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        shop.v1.entitlements.features.create({"name": "Again", "lookup_key": "api_access"})

    shop.v1.entitlements.features.update(feature.id, {"name": "The API", "active": False})
    link = shop.v1.products.features.list(product).data[0]
    assert shop.v1.products.features.retrieve(product, link.id).entitlement_feature.name == "The API"
    assert shop.v1.entitlements.features.list({"archived": True}).data[0].id == feature.id
    assert shop.v1.entitlements.features.list().data == []
    shop.v1.products.features.delete(product, link.id)

    assert shop.v1.products.features.list(product).data == []
