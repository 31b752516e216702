"""Closing bills what waits for a next invoice, to the cent and once; and nothing where nothing more may be charged."""

from datetime import timedelta

import pytest

from billing.leaving import last_invoice, refund_window
from billing.lifecycle import subscriptions
from billing.models import Alert, Customer, Subscription
from billing.stripe import gateway
from tests.accounts.conftest import acting_for
from tests.billing.shopping import at_stripe, let_pass
from tests.billing.test_lost_disputes import bought, kaboot, loses, text
from tests.billing.test_seat_changes import client, crew, join, work

pytestmark = pytest.mark.django_db(transaction=True)

__all__ = ["bought", "client", "crew", "kaboot"]

SOON = timedelta(hours=2)
MONTH = "kaboot_pro_month"


def staff_bill(account, amount, **other):
    customer = Customer.objects.get(account=account).stripe_customer_id
    wanted = {"customer": customer, "amount": amount, "currency": "usd", "description": "A workshop", **other}
    gateway.post("/v1/invoiceitems", wanted, idempotency_key=f"item:{amount}:{other}")


def waits(shop, account):
    return [item["amount"] for item in at_stripe(shop, account, "invoiceitem") if item["invoice"] is None]


def paid(shop, account):
    return [charge["amount"] for charge in at_stripe(shop, account, "charge") if charge["paid"]]


def closes(account, by):
    page = acting_for(account, by).post("/account/close/", {"name": account.name}, follow=True)
    account.refresh_from_db()
    return text(page)


def asked(account, by):
    return text(acting_for(account, by).get("/account/close/"))


def a_seat_left(crew, alice):
    """Bea's seat was paid for the whole month, and she left soon after it began."""
    _, account, client = crew
    bea = join(account, alice, "bea")
    join(account, alice, "cid")
    work()
    let_pass(account, Subscription.objects.live().get(account=account).current_period_end + SOON)
    client.post(f"/account/members/{bea.pk}/remove/")
    work()


def test_a_seat_taken_midway_is_billed_when_the_account_is_closed(crew, alice):
    shop, account, _ = crew
    join(account, alice, "bea")
    join(account, alice, "cid")
    work()
    before, waiting = paid(shop, account), sum(waits(shop, account))
    assert waiting > 0
    assert f"${waiting / 100:.2f} waits for the next invoice" in asked(account, alice)

    closes(account, alice)

    assert account.closed_at
    assert paid(shop, account) == [*before, waiting]
    assert waits(shop, account) == []
    assert [one["total"] for one in at_stripe(shop, account, "invoice")][-1] == waiting


def test_a_credit_for_a_seat_that_left_is_taken_off_what_staff_bill(crew, alice):
    shop, account, _ = crew
    a_seat_left(crew, alice)
    credit = sum(waits(shop, account))
    assert credit < 0
    staff_bill(account, 3400)
    before = paid(shop, account)
    assert f"${(3400 + credit) / 100:.2f} waits for the next invoice" in asked(account, alice)

    closes(account, alice)

    assert account.closed_at
    assert paid(shop, account) == [*before, 3400 + credit]
    assert waits(shop, account) == []


def test_a_credit_that_is_larger_than_what_staff_bill_leaves_no_item_behind(crew, alice):
    shop, account, _ = crew
    a_seat_left(crew, alice)
    credit = sum(waits(shop, account))
    staff_bill(account, 400)
    before = paid(shop, account)
    assert f"A credit of ${-(400 + credit) / 100:.2f} waits" in asked(account, alice)

    closes(account, alice)

    assert account.closed_at
    assert paid(shop, account) == before
    assert waits(shop, account) == []


@pytest.mark.parametrize("ours", [3400, 400])
def test_of_a_plan_that_ended_before_credit_and_charge_meet_as_well(crew, alice, settle, ours):
    """It was ended in the Dashboard, which leaves what waits for it."""
    shop, account, _ = crew
    ended = Subscription.objects.live().get(account=account)
    staff_bill(account, -1000, subscription=ended.stripe_subscription_id)
    staff_bill(account, ours)
    subscriptions.cancel_now(account=account)
    settle()
    before = paid(shop, account)

    closes(account, alice)

    assert account.closed_at
    assert paid(shop, account) == [*before, *([ours - 1000] if ours > 1000 else [])]
    assert waits(shop, account) == []


def test_where_only_a_credit_waits_no_invoice_is_written(kaboot, bought, account, alice):
    staff_bill(account, -400)
    before = at_stripe(kaboot, account, "invoice")
    assert "A credit of $4.00 waits for the next invoice." in asked(account, alice)

    closes(account, alice)

    assert account.closed_at
    assert at_stripe(kaboot, account, "invoice") == before


def test_what_comes_to_nothing_is_left_and_its_draft_is_gone(kaboot, bought, account, alice):
    staff_bill(account, -400)
    staff_bill(account, 400)
    before = at_stripe(kaboot, account, "invoice")

    closes(account, alice)

    assert account.closed_at
    assert at_stripe(kaboot, account, "invoice") == before
    assert waits(kaboot, account) == [-400, 400]


def test_killed_before_the_invoice_was_final_it_is_charged_once(kaboot, bought, account, alice, monkeypatch):
    staff_bill(account, 400)
    post = gateway.post

    def killed(path, *args, **kwargs):
        answer = post(path, *args, **kwargs)
        if path == "/v1/invoices":
            raise gateway.StripeUnavailable("no answer", outcome_unknown=True)
        return answer

    with monkeypatch.context() as moment:
        moment.setattr(last_invoice.gateway, "post", killed)
        closes(account, alice)
    assert "is being written and will be charged within the hour" in closes(account, alice)
    assert not account.closed_at
    (draft,) = [one for one in at_stripe(kaboot, account, "invoice") if one["status"] == "draft"]
    gateway.post(f"/v1/invoices/{draft['id']}/pay", idempotency_key="as Stripe does within the hour")

    closes(account, alice)

    assert account.closed_at
    assert paid(kaboot, account) == [500, 400]


def test_on_hold_for_a_lost_dispute_nothing_is_charged_and_staff_are_told(
    kaboot, bought, account, alice, settle
):
    staff_bill(account, 400)
    loses(kaboot, account, settle)
    page = asked(account, alice)
    assert "Pro ends at once" in page
    assert "$4.00 waited for the next invoice and is not charged" in page

    closes(account, alice)

    assert account.closed_at
    assert paid(kaboot, account) == [500]
    assert waits(kaboot, account) == [400]
    assert "$4.00 still wait at Stripe" in Alert.objects.get(kind="left_unbilled").message


def test_after_money_back_nothing_is_charged_and_staff_are_told(kaboot, bought, account, alice):
    staff_bill(account, 400)
    refund_window.take_back(account=account, by=alice)
    page = asked(account, alice)
    assert "No plan is running" in page
    assert "$4.00 waited for the next invoice and is not charged" in page

    closes(account, alice)

    assert account.closed_at
    assert paid(kaboot, account) == [500]
    assert waits(kaboot, account) == [400]
    assert "$4.00 still wait at Stripe" in Alert.objects.get(kind="left_unbilled").message


def test_what_waits_is_named_without_a_plan_too(kaboot, bought, account, alice):
    subscriptions.cancel_now(account=account)
    staff_bill(account, 400)

    page = asked(account, alice)

    assert "No plan is running" in page
    assert "$4.00 waits for the next invoice, before any tax: it goes on a last one, charged at once." in page


def test_as_long_as_stripe_does_not_answer_the_page_says_what_may_come(
    kaboot, bought, account, alice, stripe_fails
):
    stripe_fails(method="GET", path="/v1/invoiceitems", status=500, times=40)

    assert "What waits for the next invoice, if anything, goes on a last one" in asked(account, alice)


def test_the_card_of_a_customer_that_was_deleted_at_stripe_is_not_asked(
    kaboot, bought, account, alice, settle
):
    former = Customer.objects.get(account=account).stripe_customer_id
    subscriptions.cancel_now(account=account)
    gateway.delete(f"/v1/customers/{former}", {})
    settle()
    new = gateway.post("/v1/customers", {"email": "a@example.com"}, idempotency_key="anew")
    Customer.objects.filter(account=account).update(stripe_customer_id=new["id"])

    assert last_invoice.as_the_plan_was(account) == {}
