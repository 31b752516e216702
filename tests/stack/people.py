"""The cast: Alice owns an organization, Bob is its member, Charlie is a stranger, Dana works for us."""

from typing import TYPE_CHECKING

import pytest
from django.test import Client

from tests import factories

if TYPE_CHECKING:
    from accounts.models import Account, User


@pytest.fixture
def alice(db: None) -> "User":
    """Signed up, e-mail verified, with a personal account and the organization of `account`."""
    return factories.person(email="alice@example.com", name="Alice")


@pytest.fixture
def account(alice: "User") -> "Account":
    """Alice's organization."""
    return factories.organization(owner=alice, name="Alice & Co")


@pytest.fixture
def bob(account: "Account") -> "User":
    """A member of Alice's organization, who may not touch billing."""
    bob = factories.person(email="bob@example.com", name="Bob")
    factories.MemberFactory(account=account, user=bob, role="member")
    return bob


@pytest.fixture
def charlie(db: None) -> "User":
    """A customer who has nothing to do with Alice."""
    return factories.person(email="charlie@example.com", name="Charlie")


@pytest.fixture
def dana(db: None) -> "User":
    """Staff, allowed everything in the admin."""
    return factories.person(email="dana@example.com", name="Dana", is_staff=True, is_superuser=True)


@pytest.fixture
def as_alice(alice: "User", account: "Account") -> Client:
    """A browser without JavaScript, logged in as Alice."""
    return _logged_in(alice)


@pytest.fixture
def as_bob(bob: "User") -> Client:
    return _logged_in(bob)


@pytest.fixture
def as_charlie(charlie: "User") -> Client:
    return _logged_in(charlie)


@pytest.fixture
def as_dana(dana: "User") -> Client:
    return _logged_in(dana)


def _logged_in(user: "User") -> Client:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client
