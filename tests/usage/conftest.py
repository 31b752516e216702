"""Accounts with plans to count against, on a price list of their own (catalog.toml beside this file)."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from django.db.models import Sum

from accounts.models import Account, User
from billing import grants
from billing.models import CreditEntry, Subscription
from tests import factories
from usage import metering
from usage.models import MeterEvent, UsageCounter, UsageDay, UsageRecord

if TYPE_CHECKING:
    from simulator.core import Simulator

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _counting_house(settings: Any) -> None:
    settings.BILLING_CATALOG = str(Path(__file__).with_name("catalog.toml"))


@pytest.fixture(autouse=True)
def _members_since_the_first_of_the_month(request: pytest.FixtureRequest) -> None:
    """Free windows are counted from the day an account was opened, so the tests say which day that was."""
    if "account" in request.fixturenames:
        account = request.getfixturevalue("account")
        account.created_at = datetime(2026, 11, 1, tzinfo=UTC)
        account.save(update_fields=["created_at"])


def opened(owner: User, **fields: Any) -> Account:
    """Another organization of `owner`, opened on the first of the month."""
    account = factories.organization(owner=owner, **fields)
    account.created_at = datetime(2026, 11, 1, tzinfo=UTC)
    account.save(update_fields=["created_at"])
    return account


def subscribe(account: Account, plan: str, *, anchor: datetime, **fields: Any) -> Subscription:
    """The account's one live subscription, as a sync would have written it; an older one is over."""
    Subscription.objects.filter(account=account, is_live=True).update(is_live=False, status="canceled")
    subscription = Subscription.objects.create(
        **{
            "account": account,
            "stripe_subscription_id": f"sub_{Subscription.objects.count()}{account.pk.hex[:8]}",
            "stripe_customer_id": f"cus_{account.pk.hex[:8]}",
            "status": "active",
            "status_since": anchor,
            "is_live": True,
            "plan_key": plan,
            "currency": "usd",
            "current_period_start": anchor,
            "current_period_end": anchor.replace(year=anchor.year + 1),
            "billing_cycle_anchor": anchor,
            "started_at": anchor,
            "first_paid_at": anchor,
            "synced_at": anchor,
            **fields,
        }
    )
    from billing.lifecycle import customers

    customers.row(account)
    grants.rights_changed(account)
    return subscription


@pytest.fixture
def generate(account: Account) -> Callable[..., metering.Receipt]:
    """Use generations: `generate()`, `generate(3)`, `generate(key="again", now=…)`."""
    pressed = iter(range(1_000_000))

    def act(units: Any = 1, *, key: str | None = None, now: datetime = NOON, **more: Any) -> metering.Receipt:
        given = {"account": account, "feature": "generations", "now": now, "units": units, **more}
        return metering.consume(**given, idempotency_key=key or f"press-{next(pressed)}")

    return act


def assert_books_agree(account: Account) -> None:
    """Counter = ledger + what was carried over = roll-up, for every feature and window."""
    ledger = UsageRecord.objects.filter(account=account)
    for counter in UsageCounter.objects.filter(account=account):
        acts = list(
            ledger.filter(feature=counter.feature, period_start=counter.period_start)
            .order_by("id")
            .values_list("units", "used_after", "credited", "billed")
        )
        assert counter.used == counter.carried + sum(units for units, *_ in acts)
        assert counter.credited == sum(credited for _, _, credited, _ in acts)
        assert counter.billed == sum(billed for *_, billed in acts)
        assert counter.limit_units is None or not acts or acts[-1][1] <= counter.used
    by_feature = dict(ledger.values_list("feature").annotate(units=Sum("units")).order_by())
    by_day = dict(
        UsageDay.objects.filter(account=account).values_list("feature").annotate(Sum("units")).order_by()
    )
    assert by_feature == by_day
    burned = CreditEntry.objects.filter(grant__account=account, kind="burn").aggregate(Sum("units"))
    assert sum(ledger.values_list("credited", flat=True)) == -(burned["units__sum"] or 0)
    metered = MeterEvent.objects.filter(account=account).values_list("record_id", "units")
    assert dict(metered) == dict(ledger.filter(billed__gt=0).values_list("id", "billed"))


@pytest.fixture
def payg(shop: "Simulator", account: Account) -> Account:
    """Pays by the token since yesterday, and has a customer at Stripe."""
    from django.utils import timezone

    from billing.models import Customer
    from billing.stripe import gateway

    subscribe(account, "payg", anchor=timezone.now() - timedelta(days=1))
    customer = gateway.post("/v1/customers", {"name": account.name}, idempotency_key=f"new-{account.pk}")
    Customer.objects.filter(account=account).update(stripe_customer_id=customer["id"])
    return account


class Wires(Protocol):
    """The connection to Stripe's meters: `wires(cut="after")` hangs up after the effect, `wires()` mends it."""

    def __call__(self, cut: str = "", status: int = 0, path: str = ..., times: int = 1000) -> None: ...


@pytest.fixture
def wires(shop: "Simulator") -> Iterator[Wires]:
    from simulator import front_door
    from simulator.failures import Failure

    door = front_door.of(shop)

    def set_wires(
        cut: str = "", status: int = 0, path: str = "/v1/billing/meter_events", times: int = 1000
    ) -> None:
        door.failures.clear()
        if cut:
            door.fail(Failure(method="*", path=path, when=cut, status=status, times=times))

    yield set_wires
    set_wires()
