"""Buying packs in the tests: the button, Stripe's page, the way back, and what happens to the units."""

import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.test import Client
from django.utils import timezone

from accounts.models import Account
from billing import credits
from billing.models import CreditGrant
from simulator.hosted import checkout as page
from tests.billing.purchases import at_stripe
from tests.billing.shopping import card

if TYPE_CHECKING:
    from simulator.core import Simulator

CATALOG = str(Path(__file__).parent / "packs.toml")


def acting_for(client: Client, account: Account) -> Client:
    client.post("/account/switch/", {"account": str(account.pk)})
    return client


def left(account: Account, feature: str = "pages") -> int:
    return credits.left(account, feature, now=timezone.now())


def go_to_the_till(client: Client, pack: str = "copy_pages_500", number: str = "1") -> str:
    answer = client.post("/billing/credits/buy/", {"pack": pack, "number": number})
    assert answer.status_code == 303, answer.content
    return answer["Location"].rsplit("/", 1)[-1]


def pay(shop: "Simulator", session_id: str, number: str = "4242424242424242") -> None:
    assert page.pay(shop, session_id, card=card(number), email="a@example.com", name="A").status == "paid"


def come_back(client: Client, session_id: str) -> Any:
    return client.get("/billing/credits/bought/", {"session_id": session_id}, follow=True)


def buy(shop: "Simulator", client: Client, **choice: str) -> CreditGrant:
    session_id = go_to_the_till(client, **choice)
    pay(shop, session_id)
    come_back(client, session_id)
    return CreditGrant.objects.latest("pk")


def use(account: Account, units: int) -> None:
    with transaction.atomic():
        taken = credits.take(
            account=account,
            feature="pages",
            units=units,
            now=timezone.now(),
            record_id=random.randrange(10**9),
        )
    assert taken == units


def refund(grant: CreditGrant, amount: int | None = None) -> None:
    asked: dict[str, Any] = {"payment_intent": grant.stripe_payment_intent_id}
    at_stripe().v1.refunds.create(asked | ({"amount": amount} if amount else {}))  # type: ignore[arg-type]
