"""The soak of the meters in small: `./run soak meters` is the same with 100,000 units."""

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings as house
from django.db import connection
from django.utils import timezone

from billing.models import Customer
from billing.stripe import gateway
from soaks import meters as soak
from soaks.storm import Storm
from tests.usage.conftest import opened, subscribe

if TYPE_CHECKING:
    from simulator.core import Simulator

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres, pytest.mark.slow]


def test_through_drops_refusals_failures_and_kills_each_unit_reaches_stripe_once(
    shop: "Simulator", alice: Any, settings: Any
) -> None:
    accounts = [opened(alice) for _ in range(6)]
    for number, account in enumerate(accounts):
        subscribe(account, "payg", anchor=timezone.now() - timedelta(days=1))
        customer = gateway.post("/v1/customers", idempotency_key=f"customer-{number}")
        Customer.objects.filter(account=account).update(stripe_customer_id=customer["id"])
    place = connection.settings_dict
    environment = {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DATABASE_URL": f"postgres://{place['USER']}:{place['PASSWORD']}@{place['HOST']}:{place['PORT']}/{place['NAME']}",
        "STRIPE_API_BASE": house.STRIPE_API_BASE,
        "BILLING_CATALOG": settings.BILLING_CATALOG,
        "DEMO": "0",
    }
    seed = int(os.environ.get("SEED", "1"))
    storm = Storm(seed)

    verdict = soak.soak(
        shop, accounts, units=300, seed=seed, number_of_senders=3, environment=environment, storm=storm
    )

    assert verdict.kills > 2
    assert storm.fates.total() > storm.fates["answered"], "No call went wrong: this proved nothing."
    assert verdict.is_good, verdict
