"""Units paid in another currency than the price list's: every sum is in the currency the customer pays in."""

import csv
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import api_keys
from accounts.models import Account, Notification, User
from accounts.notifications import outbox
from billing import clock, grants
from billing.lifecycle import subscriptions
from billing.models import Customer, Subscription
from billing.stripe import gateway
from tests.billing.shopping import at_stripe, let_pass
from tests.billing.test_deals_currencies import bazaar, buy_in, said
from tests.usage.conftest import Wires
from usage import metering, meters
from usage.alerts import crossings
from usage.models import Budget, MeterDelivery, UsageCounter

pytestmark = pytest.mark.django_db(transaction=True)

__all__ = ["bazaar"]


@pytest.fixture
def mine(bazaar: Any, alice: User, as_alice: Client) -> Account:
    """Alice pays by the token: 45 cents each in euros, where the list says 50 cents in dollars."""
    mine = Account.objects.get(person=alice)
    buy_in(as_alice, bazaar, "eur", price="hybrid_payg_tokens", seats=1)
    return mine


@pytest.fixture
def headers(mine: Account) -> dict[str, str]:
    _, key = api_keys.issue(kind="account", account=mine, name="a script", now=timezone.now())
    return {"Authorization": f"Bearer {key}"}


def use(account: Account, units: int, key: str = "act") -> metering.Receipt:
    return metering.consume(
        account=account, feature="tokens", units=units, idempotency_key=key, now=clock.now(account)
    )


def post(client: Client, headers: dict[str, str], path: str, **body: Any) -> dict[str, Any]:
    answer = client.post(f"/api/v1/{path}", body, content_type="application/json", headers=headers)
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def get(client: Client, headers: dict[str, str], path: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/api/v1/{path}", headers=headers).json()
    return found


@pytest.mark.parametrize("page", ["/usage/", "/usage/log/", "/usage/budgets/", "/usage/alerts/"])
def test_what_euros_were_spent_is_shown_in_euros(mine: Account, as_alice: Client, page: str) -> None:
    use(mine, 10)

    shown = said(as_alice.get(page))

    assert "€4.50" in shown
    assert "$" not in shown
    assert "USD" not in shown


def test_the_pace_is_told_in_euros(mine: Account, as_alice: Client) -> None:
    bought = Subscription.objects.get(account=mine)
    let_pass(
        mine, bought.current_period_start + (bought.current_period_end - bought.current_period_start) / 2
    )
    use(mine, 10)

    assert "20 tokens, €9.00" in said(as_alice.get("/usage/"))


def test_the_csv_file_names_the_euros(mine: Account, as_alice: Client) -> None:
    use(mine, 10)

    answer: Any = as_alice.get("/usage/log.csv")

    [act] = csv.DictReader(answer.getvalue().decode().splitlines())
    assert (act["cost"], act["currency"]) == ("4.50", "eur")


def test_receipts_and_balances_of_the_api_are_in_euros(
    mine: Account, client: Client, headers: dict[str, str]
) -> None:
    first = post(client, headers, "usage", feature="tokens", units=3, idempotency_key="a")
    again = post(client, headers, "usage", feature="tokens", units=3, idempotency_key="a")
    lines = [{"feature": "tokens", "units": units, "idempotency_key": f"b{units}"} for units in (1, 2)]
    batch = post(client, headers, "usage/batch", lines=lines)
    held = post(client, headers, "reservations", feature="tokens", units=5, idempotency_key="c")
    settled = post(client, headers, f"reservations/{held['id']}/settle", units=7)

    assert (first["cost"], first["currency"]) == (135, "eur")
    assert (again["cost"], again["currency"], again["replayed"]) == (135, "eur", True)
    assert ([line["cost"] for line in batch["lines"]], batch["currency"]) == ([45, 90], "eur")
    assert (settled["cost"], settled["currency"]) == (315, "eur")
    found = get(client, headers, "balances")
    assert (found["balances"][0]["cost"], found["currency"]) == (585, "eur")
    assert UsageCounter.objects.get(account=mine, billed__gt=0).unit_amount == 45


def test_a_budget_is_set_kept_and_told_in_euros(
    mine: Account, as_alice: Client, client: Client, headers: dict[str, str]
) -> None:
    assert "each billing month (EUR)" in said(as_alice.get("/usage/budgets/"))
    done = said(as_alice.post("/usage/budgets/set/", {"amount": "4.50"}, follow=True))
    assert "At most €4.50 a month is charged for units from now on." in done
    use(mine, 10)
    with pytest.raises(metering.BudgetReached):
        use(mine, 1, key="more")
    crossings.look(now=timezone.now())

    assert Budget.objects.get(account=mine).currency == "eur"
    assert "The budget of €4.50 is used up." in said(as_alice.get("/notifications/"))
    note = Notification.objects.get(kind="budget_reached")
    assert note.subject == "The budget of €4.50 is used up"
    assert "has used €4.50 since" in note.text
    answer = get(client, headers, "budgets")
    assert (answer["amount"], answer["spent"], answer["currency"]) == (450, 450, "eur")


def test_a_budget_from_before_the_first_purchase_says_what_it_is_now(
    bazaar: Any, alice: User, as_alice: Client
) -> None:
    mine = Account.objects.get(person=alice)
    as_alice.post("/usage/budgets/set/", {"amount": "4.50"})
    assert "as $4.50" not in said(as_alice.get("/usage/budgets/"))
    buy_in(as_alice, bazaar, "eur", price="hybrid_payg_tokens", seats=1)
    use(mine, 9)

    page = said(as_alice.get("/usage/budgets/"))

    assert "€4.05</strong> of €4.50 were used" in page
    assert "as $4.50; you pay in EUR, so it holds as €4.50." in page
    use(mine, 1, key="last")
    with pytest.raises(metering.BudgetReached):
        use(mine, 1, key="more")


def test_the_sum_somebody_named_is_told_in_euros(mine: Account, as_alice: Client) -> None:
    assert "in a billing month (EUR)" in said(as_alice.get("/usage/alerts/"))
    as_alice.post("/usage/alerts/", {"percents": "", "amounts": "4"})
    use(mine, 10)
    crossings.look(now=timezone.now())
    outbox.deliver_due(now=timezone.now())

    [letter] = [letter for letter in mail.outbox if "Usage has reached" in letter.subject]
    assert "Usage has reached €4.00" in letter.subject
    assert "has used €4.50 worth since" in letter.body
    assert "$" not in letter.body


def test_the_cheaper_plan_is_compared_in_euros(mine: Account, as_alice: Client) -> None:
    use(mine, 60)  # €27, what Pro costs
    crossings.look(now=timezone.now())
    assert not Notification.objects.filter(kind="cheaper_plan").exists()
    use(mine, 1, key="more")  # €27.45, which is less than the $29 of Pro only in numbers
    crossings.look(now=timezone.now())

    assert Notification.objects.get(kind="cheaper_plan").subject == "You spent €27.45 this month; Pro is €27"
    assert "You spent €27.45 this month; Pro is €27." in said(as_alice.get("/usage/"))


def test_what_staff_bill_by_hand_is_billed_in_euros(
    bazaar: Any, mine: Account, as_dana: Client, wires: Wires
) -> None:
    use(mine, 8)
    let_pass(mine, Subscription.objects.get(account=mine).current_period_end + timedelta(hours=2))
    meters.deliver(now=timezone.now())
    delivery = MeterDelivery.objects.get()
    assert delivery.state == "review"
    assert "€3.60 for 8 × token" in said(as_dana.get("/staff/usage/meterdelivery/"))

    chosen = {"action": "bill", "_selected_action": [delivery.pk]}
    as_dana.post("/staff/usage/meterdelivery/", chosen, follow=True)

    [item] = at_stripe(bazaar, mine, "invoiceitem")
    assert (item["amount"], item["currency"]) == (360, "eur")


def test_after_the_plan_has_ended_what_it_cost_is_still_in_euros(mine: Account, as_alice: Client) -> None:
    use(mine, 10)
    let_pass(mine, clock.now(mine) + timedelta(hours=1))
    subscriptions.cancel_now(account=mine)

    assert "€4.50" in said(as_alice.get("/usage/log/"))


def test_units_of_a_plan_that_staff_gave_are_priced_in_the_customers_currency(mine: Account) -> None:
    subscriptions.cancel_now(account=mine)
    grants.give(account=mine, plan_key="payg", kind="gift", reason="a friend", now=clock.now(mine))

    receipt = use(mine, 10)

    assert (receipt.cost, receipt.currency) == (450, "eur")


def test_a_currency_that_stripe_settles_later_prices_the_next_act(
    bazaar: Any, alice: User, as_alice: Client
) -> None:
    mine = Account.objects.get(person=alice)
    as_alice.post("/billing/upgrade/", {"price": "hybrid_pro_month", "quantity": "1", "currency": "eur"})
    grants.give(account=mine, plan_key="payg", kind="gift", reason="a friend", now=clock.now(mine))
    before = use(mine, 1)

    # In the Dashboard.
    customer = Customer.objects.get(account=mine).stripe_customer_id
    credit = {"amount": -100, "currency": "eur"}
    gateway.post(f"/v1/customers/{customer}/balance_transactions", credit, idempotency_key="credit")
    assert subscriptions.sync(account=mine, reason="test")

    assert (before.cost, before.currency) == (50, "usd")
    after = use(mine, 1, key="after")
    assert (after.cost, after.currency) == (45, "eur")
    assert (use(mine, 1).cost, use(mine, 1).currency) == (50, "usd")  # the first act's key again


def test_what_was_used_in_dollars_before_the_first_purchase_stays_in_dollars(
    bazaar: Any, alice: User, as_alice: Client
) -> None:
    mine = Account.objects.get(person=alice)
    gift = grants.give(account=mine, plan_key="payg", kind="gift", reason="a friend", now=clock.now(mine))
    use(mine, 10, key="as a gift")
    grants.revoke(grant=gift, now=clock.now(mine))
    buy_in(as_alice, bazaar, "eur", price="hybrid_payg_tokens", seats=1)
    use(mine, 2, key="bought")

    shown = said(as_alice.get("/usage/log/"))

    assert "$5.00" in shown and "€0.90" in shown
    assert "€5.00" not in shown
    answer: Any = as_alice.get("/usage/log.csv")
    acts = csv.DictReader(answer.getvalue().decode().splitlines())
    assert [(act["cost"], act["currency"]) for act in acts] == [("0.90", "eur"), ("5.00", "usd")]


def test_who_pays_in_dollars_sees_dollars_beside_them(bazaar: Any, alice: User, as_alice: Client) -> None:
    mine = Account.objects.get(person=alice)
    buy_in(as_alice, bazaar, "usd", price="hybrid_payg_tokens", seats=1)

    receipt = use(mine, 10)

    assert (receipt.cost, receipt.currency) == (500, "usd")
    assert "$5.00" in said(as_alice.get("/usage/"))


@pytest.mark.postgres
def test_an_act_that_costs_nothing_asks_nothing_more(
    bazaar: Any, alice: User, as_alice: Client, client: Client, django_assert_num_queries: Any
) -> None:
    mine = Account.objects.get(person=alice)
    buy_in(as_alice, bazaar, "eur", price="hybrid_pro_month", seats=1)
    _, key = api_keys.issue(kind="account", account=mine, name="a script", now=timezone.now())
    headers = {"Authorization": f"Bearer {key}"}
    post(client, headers, "usage", feature="tokens", idempotency_key="first")

    with django_assert_num_queries(2):
        post(client, headers, "usage", feature="tokens", idempotency_key="second")


@pytest.fixture
def counted_in_dollars(bazaar: Any, alice: User, as_alice: Client) -> dict[str, Any]:
    """Alice had a given plan, whose units cost dollars, and pays in euros now: her lines of then, and her key."""
    mine = Account.objects.get(person=alice)
    gift = grants.give(account=mine, plan_key="payg", kind="gift", reason="a friend", now=clock.now(mine))
    _, key = api_keys.issue(kind="account", account=mine, name="a script", now=timezone.now())
    headers = {"Authorization": f"Bearer {key}"}
    lines = [{"feature": "tokens", "units": 10, "idempotency_key": f"old{number}"} for number in range(40)]
    assert post(Client(), headers, "usage/batch", lines=lines)["currency"] == "usd"
    grants.revoke(grant=gift, now=clock.now(mine))
    buy_in(as_alice, bazaar, "eur", price="hybrid_payg_tokens", seats=1)
    return {"lines": lines, "headers": headers}


def test_a_batch_of_a_line_of_then_and_a_new_one_names_both_currencies(
    counted_in_dollars: dict[str, Any], client: Client
) -> None:
    lines, headers = counted_in_dollars["lines"], counted_in_dollars["headers"]
    new = {"feature": "tokens", "units": 2, "idempotency_key": "new"}

    batch = post(client, headers, "usage/batch", lines=[lines[0], new])

    said_of = [(line["cost"], line["currency"], line["replayed"]) for line in batch["lines"]]
    assert said_of == [(500, "usd", True), (90, "eur", False)]
    assert batch["currency"] == "eur"
    assert post(client, headers, "usage/batch", lines=[lines[0]])["currency"] == "usd"


def test_a_batch_sent_again_looks_its_currency_up_once(
    counted_in_dollars: dict[str, Any], client: Client
) -> None:
    with CaptureQueriesContext(connection) as asked:
        batch = post(client, counted_in_dollars["headers"], "usage/batch", lines=counted_in_dollars["lines"])

    assert {line["currency"] for line in batch["lines"]} == {"usd"}
    assert sum("currencybefore" in one["sql"].lower() for one in asked) == 1
