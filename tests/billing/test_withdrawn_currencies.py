"""A price list that drops a currency somebody pays in is refused, and no page meanwhile names a sum nobody pays."""

from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.core.management.base import SystemCheckError
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Account
from billing import checks, clock, revenue, tasks
from billing.lifecycle import subscriptions
from billing.models import Alert, CheckoutIntent, Customer
from billing.stripe import gateway
from tests.billing.shopping import buy, let_pass
from tests.billing.test_deals_currencies import at_work, bazaar, buy_in, said, words

pytestmark = pytest.mark.django_db(transaction=True)

__all__ = ["at_work", "bazaar"]

REFUSAL = 'plans.team: 1 customer pays "hybrid_team_month" in EUR, and the price list does not have it in EUR'


@pytest.fixture
def drop_the_euros(settings: Any, tmp_path: Path) -> Any:
    """The price list as it was before it had euros."""

    def write(text: str = "") -> None:
        file = tmp_path / "dollars" / "hybrid.toml"
        file.parent.mkdir()
        file.write_text(text or (Path(settings.BILLING_CATALOG_DIR) / "hybrid.toml").read_text())
        settings.BILLING_CATALOG = str(file)

    return write


def there(lookup_key: str) -> Any:
    found = gateway.get("/v1/prices", {"lookup_keys": [lookup_key], "expand": ["data.currency_options"]})
    return found["data"][0]


def test_a_push_that_drops_what_a_customer_pays_in_is_refused(
    bazaar: Any, account: Account, at_work: Client, drop_the_euros: Any
) -> None:
    buy_in(at_work, bazaar, "eur")
    drop_the_euros()

    told = StringIO()
    with pytest.raises(CommandError) as refusal:
        call_command("sync_catalog", stdout=told)

    assert REFUSAL in str(refusal.value)
    assert "Write currencies = { eur = … } there with what they pay." in str(refusal.value)
    assert "Nothing was changed at Stripe." in str(refusal.value)
    assert there("hybrid_team_month")["currency_options"]["eur"]["unit_amount"] == 1800


def test_the_check_before_a_deployment_refuses_it_too_and_what_serves_starts(
    bazaar: Any, account: Account, at_work: Client, drop_the_euros: Any, settings: Any
) -> None:
    settings.DEBUG = True
    buy_in(at_work, bazaar, "eur")
    call_command("check", "--deploy", fail_level="CRITICAL")
    assert checks.the_customers_currencies() == []
    drop_the_euros()

    with pytest.raises(SystemCheckError, match=r"plans\.team: 1 customer pays"):
        call_command("check", "--deploy")
    call_command("check")
    with CaptureQueriesContext(connection) as asked:
        checks.refuse_to_start()
    assert len(asked) == 0


def test_one_subscription_made_in_the_dashboard_stops_nothing_and_is_told_to_staff(
    shop: Any, account: Account, alice: Any, settle: Any, settings: Any
) -> None:
    settings.DEBUG = True
    buy(shop, account, alice, "hybrid_team_month", 2)
    subscriptions.cancel_now(account=account)
    price = there("hybrid_team_month")["id"]
    gateway.post(
        f"/v1/prices/{price}", {"currency_options": {"gbp": {"unit_amount": 400}}}, idempotency_key="gbp"
    )
    customer = Customer.objects.get(account=account).stripe_customer_id
    made = gateway.post(
        "/v1/subscriptions",
        {
            "customer": customer,
            "currency": "gbp",
            "items": [{"price": price, "quantity": 2}],
            "collection_method": "send_invoice",
            "days_until_due": 14,
        },
        idempotency_key="by hand",
    )
    settle()
    tasks.compare_currencies()
    tasks.compare_currencies()

    checks.refuse_to_start()

    told = Alert.objects.get(kind="currency_withdrawn")
    assert '1 customer pays "hybrid_team_month" in GBP' in told.message and told.resolved_at is None
    gateway.delete(f"/v1/subscriptions/{made['id']}", {})
    settle()
    tasks.compare_currencies()
    told.refresh_from_db()
    assert told.resolved_at


def test_it_may_stay_on_a_plan_that_is_not_sold_any_more(
    bazaar: Any, account: Account, at_work: Client, drop_the_euros: Any
) -> None:
    buy_in(at_work, bazaar, "eur")
    text = words(**{"currencies = { eur = 2700 }\n": "", "currencies = { eur = 45 }\n": ""})
    text = text.replace("[plans.team]\n", "[plans.team]\nretired = true\n")
    drop_the_euros(text)

    call_command("sync_catalog", verbosity=0)

    page = said(at_work.get("/billing/"))
    assert "€36.00" in page
    assert "$" not in page


def test_who_has_left_holds_nothing_up_and_is_told_where_to_turn(
    bazaar: Any, account: Account, at_work: Client, drop_the_euros: Any
) -> None:
    buy_in(at_work, bazaar, "eur")
    let_pass(account, clock.now(account) + timedelta(days=14, hours=2))
    subscriptions.cancel_now(account=account)
    drop_the_euros()

    call_command("sync_catalog", verbosity=0)

    page = said(at_work.get("/pricing/"))
    assert (
        "You pay in EUR since your first purchase, which cannot change, and these prices are in USD." in page
    )
    assert "Choose Team" not in page
    wanted = {"price": "hybrid_team_month", "quantity": "2", "currency": "usd"}
    before = CheckoutIntent.objects.count()
    answer = said(at_work.post("/billing/upgrade/", wanted, follow=True))
    assert "nothing is sold in it any more. Write to" in answer
    assert CheckoutIntent.objects.count() == before


def test_meanwhile_no_page_names_dollars_as_what_is_paid(
    bazaar: Any, account: Account, at_work: Client, drop_the_euros: Any
) -> None:
    buy_in(at_work, bazaar, "eur")
    let_pass(account, clock.now(account) + timedelta(days=14, hours=2))
    assert revenue.monthly() == {"eur": 3600}
    drop_the_euros()

    assert "$" not in said(at_work.get("/billing/"))
    assert "€36.00" in said(at_work.get("/billing/"))
    assert revenue.monthly() == {}
