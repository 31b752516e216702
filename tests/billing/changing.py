"""Changing plans in the tests, by the page: look at the receipt, press its button, see what became of it."""

import re
from typing import Any

from django.test import Client
from django.urls import reverse

from accounts.models import Account
from billing.models import PlanChange

SIGNS = {"$": "usd"}


def look(client: Client, **query: Any) -> Any:
    """The receipt's page."""
    return client.get("/billing/change/", query)


def token_on(page: Any) -> str:
    found = re.search(r'name="token" value="([^"]+)"', page.content.decode())
    assert found, page.content.decode()[:3000]
    return found[1]


def due_on(page: Any) -> int:
    """What the receipt says is due today, in cents, as its words say it."""
    found = re.search(r"<dt>Today</dt><dd>([^<]+)</dd>", page.content.decode())
    assert found, page.content.decode()[:3000]
    return round(float(found[1].replace("$", "").replace(",", "")) * 100)


def press(client: Client, page: Any) -> Any:
    """The button under the receipt; answers the page it leads to."""
    return client.post("/billing/change/", {"token": token_on(page)}, follow=True)


def change(client: Client, **query: Any) -> PlanChange:
    """All the way."""
    page = press(client, look(client, **query))
    assert page.status_code == 200, page.content.decode()[:2000]
    return PlanChange.objects.latest("pk")


def acts_for(client: Client, account: Account) -> Client:
    client.post(reverse("accounts:switch"), {"account": str(account.pk)})
    return client
