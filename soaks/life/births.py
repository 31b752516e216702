"""A new customer, in the house and at Stripe, on the last days of a January."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from soaks.life.expected import Life
from soaks.life.people import Person
from soaks.life.rights import DAY
from soaks.life.terms import Terms

if TYPE_CHECKING:
    from simulator.core import Simulator
    from soaks.life.post import Post

# Everybody's first day is one of the last of a January, when month ends matter most, and after any real today.
FIRST_DAY = datetime(2040, 1, 1, tzinfo=UTC)


def born(number: int, *, terms: Terms, seed: str, simulator: Simulator, post: Post) -> Person:
    """A new customer at the end of some January, known at Stripe on a clock of their own."""
    from accounts.models import Account
    from billing.lifecycle import customers, lease
    from billing.models import Customer
    from tests import factories

    chance = random.Random(f"{seed}:{number}")
    kinds = [kind for kind in ("personal", "organization") if terms.for_sale(kind)]
    kind = chance.choice(kinds)
    start = FIRST_DAY + timedelta(
        days=chance.choice((27, 28, 29, 30, chance.randint(0, 30))), seconds=chance.randint(0, DAY)
    )
    user = factories.person(email=f"soak-{seed}-{number}@example.com".replace(":", "-"))
    account = (
        Account.objects.get(person=user)
        if kind == "personal"
        else factories.organization(owner=user, name=f"Soak {number}")
    )
    Account.objects.filter(pk=account.pk).update(created_at=start)
    account.refresh_from_db()
    customers.row(account)
    Customer.objects.filter(account=account).update(clock_now=start)
    with lease.hold(account=account, purpose="soak", wait_seconds=5) as held:
        customers.ensure(account=account, held=held)
    moment = int(start.timestamp())
    return Person(number, account, user, Life(terms, kind, moment, moment), chance, simulator, post)
