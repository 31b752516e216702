"""Steps the account tests share: read the last letter, act for an account, log in through the page."""

import re
from collections.abc import Callable

import pytest
from django.core import mail
from django.test import Client

from accounts.models import Account, User
from tests import factories


@pytest.fixture
def code_in_the_letter() -> Callable[[], str]:
    """The code that stands alone on its line in the newest letter."""

    def read() -> str:
        found = re.search(r"^\s*([A-Z0-9]{3,4}-?[A-Z0-9]{3,4})\s*$", mail.outbox[-1].body, re.MULTILINE)
        assert found, mail.outbox[-1].body
        return found[1]

    return read


@pytest.fixture
def link_in_the_letter() -> Callable[[], str]:
    """The path of the first link in the newest letter."""

    def read() -> str:
        found = re.search(r"http://testserver(/\S+)", mail.outbox[-1].body)
        assert found, mail.outbox[-1].body
        return found[1]

    return read


def acting_for(account: Account, user: User) -> Client:
    """A browser logged in as this person and switched to this account."""
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    client.post("/account/switch/", {"account": str(account.pk)})
    return client


def log_in(client: Client, user: User, password: str = factories.PASSWORD) -> None:
    client.post("/login/login/", {"login": user.email, "password": password})
