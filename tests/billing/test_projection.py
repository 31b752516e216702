"""From Stripe's documents to our rows, for the shapes that are rare on the way but dear when read wrong."""

from datetime import UTC, datetime
from typing import Any

import pytest

from billing import catalog
from billing.lifecycle import projection
from billing.models import Subscription
from billing.stripe import shapes
from billing.stripe.truth import Truth

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = 86_400
START = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp())


@pytest.fixture(autouse=True)
def hybrid(settings: Any) -> None:
    settings.BILLING_CATALOG = "hybrid"


def item(
    lookup_key: str | None, *, id: str = "si_1", quantity: int | None = 1, days: int = 30, **price: Any
) -> dict:
    return {
        "id": id,
        "quantity": quantity,
        "current_period_start": START,
        "current_period_end": START + days * DAY,
        "price": {
            "id": f"price_{id}",
            "lookup_key": lookup_key,
            "product": "prod_1",
            "metadata": {},
            "recurring": {"usage_type": "metered" if quantity is None else "licensed"},
            **price,
        },
    }


def subscription(*items: dict, **fields: Any) -> dict:
    return {
        "id": "sub_1",
        "customer": "cus_1",
        "status": "active",
        "currency": "usd",
        "items": {"data": list(items)},
        "billing_cycle_anchor": START,
        "start_date": START,
        "trial_end": None,
        "cancel_at_period_end": False,
        "cancel_at": None,
        "canceled_at": None,
        "ended_at": None,
        "collection_method": "charge_automatically",
        "pause_collection": None,
        "latest_invoice": "in_1",
        **fields,
    }


def invoice(**fields: Any) -> dict:
    return {
        "id": "in_1",
        "status": "open",
        "created": START,
        "amount_paid": 0,
        "parent": {"subscription_details": {"subscription": "sub_1"}},
        "status_transitions": {"paid_at": None, "finalized_at": START + 3600},
        "payments": {"data": [{"status": "open", "payment": {"payment_intent": "pi_1"}}]},
        "collection_method": "charge_automatically",
        "due_date": None,
        "hosted_invoice_url": "https://invoice.stripe.com/i/1",
        "next_payment_attempt": START + 4 * DAY,
        **fields,
    }


def row(document: dict, *, known: Subscription | None = None, invoices: Any = (), charges: Any = ()) -> dict:
    values = projection.of_subscription(
        document,
        truth=Truth(customer={"id": "cus_1"}, invoices=list(invoices), charges=list(charges)),
        known=known,
        prices=catalog.current(),
        remember=lambda price_id: "hybrid_pro_month" if price_id == "price_remembered" else "",
        now=NOW,
    )
    return {**values.row, "items": values.items}


def test_the_plan_is_named_by_its_own_item_wherever_that_stands():
    seen = row(
        subscription(
            item("hybrid_payg_tokens", id="si_metered", quantity=None, days=7),
            item("hybrid_team_month", id="si_seats", quantity=4),
        )
    )

    assert (seen["plan_key"], seen["quantity"]) == ("team", 4)
    assert seen["current_period_end"] == shapes.moment(START + 30 * DAY)
    assert {entry["plan_key"] for entry in seen["items"].values()} == {"payg", "team"}


def test_of_two_plans_the_better_one_names_it():
    seen = row(subscription(item("hybrid_pro_month", id="a"), item("hybrid_team_month", id="b", quantity=2)))

    assert seen["plan_key"] == "team"


def test_an_unknown_item_beside_a_known_one_is_no_reason_to_worry():
    seen = row(subscription(item("by_hand", id="a"), item("hybrid_pro_month", id="b")))

    assert (seen["plan_key"], seen["needs_review"]) == ("pro", False)
    assert seen["items"]["a"]["plan_key"] == ""


def test_a_price_is_known_by_key_by_mark_or_by_memory():
    assert row(subscription(item("hybrid_pro_month")))["plan_key"] == "pro"
    marked = item(None, metadata={"tallyhouse_price": "hybrid_pro_month"})
    assert row(subscription(marked))["plan_key"] == "pro"
    remembered = item(None)
    remembered["price"]["id"] = "price_remembered"
    assert row(subscription(remembered))["plan_key"] == "pro"


def test_an_unknown_price_keeps_plan_and_seats_and_is_flagged():
    known = Subscription(plan_key="team", price_lookup_key="hybrid_team_month", quantity=7, status="active")

    seen = row(subscription(item("made_up", quantity=1)), known=known)

    assert (seen["plan_key"], seen["quantity"], seen["needs_review"]) == ("team", 7, True)
    assert "made_up" in seen["review_reason"]


def test_an_unknown_price_never_seen_before_grants_nothing_and_is_flagged():
    seen = row(subscription(item("made_up")))

    assert (seen["plan_key"], seen["needs_review"]) == ("free", True)


def test_a_status_that_is_new_to_us_is_kept_with_the_last_one_we_knew():
    since = datetime(2026, 11, 2, tzinfo=UTC)
    known = Subscription(
        plan_key="pro", status="active", last_known_status="active", status_since=since, quantity=1
    )

    seen = row(subscription(item("hybrid_pro_month"), status="hibernating"), known=known)

    assert (seen["status"], seen["last_known_status"], seen["is_live"]) == ("hibernating", "active", True)
    assert (seen["status_since"], seen["needs_review"]) == (NOW, True)


def test_a_status_counts_from_when_it_was_first_seen():
    since = datetime(2026, 11, 2, tzinfo=UTC)
    known = Subscription(
        plan_key="pro", status="active", last_known_status="active", status_since=since, quantity=1
    )

    assert row(subscription(item("hybrid_pro_month")), known=known)["status_since"] == since


def test_grace_counts_from_the_first_refused_charge():
    charges = [
        {"id": "ch_2", "status": "failed", "created": START + 3 * DAY, "payment_intent": "pi_1"},
        {"id": "ch_1", "status": "failed", "created": START + DAY, "payment_intent": "pi_1"},
        {"id": "ch_0", "status": "failed", "created": START - DAY, "payment_intent": "pi_other"},
    ]

    seen = row(
        subscription(item("hybrid_pro_month"), status="past_due"), invoices=[invoice()], charges=charges
    )

    assert seen["first_failed_at"] == shapes.moment(START + DAY)


def test_without_a_charge_it_counts_from_the_first_try():
    seen = row(subscription(item("hybrid_pro_month"), status="past_due"), invoices=[invoice()])

    assert seen["first_failed_at"] == shapes.moment(START + 3600)


def test_an_invoice_to_be_paid_by_transfer_is_late_from_its_due_date():
    due = invoice(collection_method="send_invoice", due_date=START + 14 * DAY)

    seen = row(
        subscription(item("hybrid_pro_month"), status="past_due", collection_method="send_invoice"),
        invoices=[due],
    )

    assert seen["first_failed_at"] == seen["open_invoice_due_at"] == shapes.moment(START + 14 * DAY)


def test_a_known_failure_is_not_moved_and_a_paid_one_is_forgotten():
    failed = datetime(2026, 11, 3, tzinfo=UTC)
    known = Subscription(
        plan_key="pro", status="past_due", status_since=failed, first_failed_at=failed, quantity=1
    )

    late = row(subscription(item("hybrid_pro_month"), status="past_due"), known=known, invoices=[invoice()])
    paid = row(subscription(item("hybrid_pro_month")), known=known)

    assert (late["first_failed_at"], paid["first_failed_at"]) == (failed, None)


def test_each_new_unpaid_invoice_gives_a_customer_who_pays_by_transfer_no_new_time():
    due = {"collection_method": "send_invoice"}
    first = invoice(**due, id="in_1", due_date=START + 14 * DAY)
    second = invoice(**due, id="in_2", created=START + 30 * DAY, due_date=START + 44 * DAY)

    seen = row(
        subscription(item("hybrid_pro_month"), status="past_due", collection_method="send_invoice"),
        invoices=[second, first],
    )

    assert seen["open_invoice_due_at"] == shapes.moment(START + 14 * DAY)


def test_an_invoice_given_up_in_january_does_not_eat_the_grace_of_june():
    january = invoice(id="in_1", status="uncollectible")
    february = invoice(id="in_2", status="paid", amount_paid=2900, created=START + 30 * DAY)
    june = invoice(
        id="in_6",
        created=START + 150 * DAY,
        status_transitions={"paid_at": None, "finalized_at": START + 150 * DAY + 3600},
    )

    seen = row(subscription(item("hybrid_pro_month"), status="past_due"), invoices=[june, february, january])

    assert seen["first_failed_at"] == shapes.moment(START + 150 * DAY + 3600)


def test_a_failure_that_was_paid_while_nobody_looked_is_forgotten_at_the_next_one():
    failed = datetime(2026, 11, 3, tzinfo=UTC)
    known = Subscription(
        plan_key="pro", status="past_due", status_since=failed, first_failed_at=failed, quantity=1
    )
    paid = invoice(id="in_1", status="paid", amount_paid=2900)
    again = invoice(
        id="in_2",
        created=START + 30 * DAY,
        status_transitions={"paid_at": None, "finalized_at": START + 30 * DAY + 3600},
    )

    seen = row(subscription(item("hybrid_pro_month"), status="past_due"), known=known, invoices=[again, paid])

    assert seen["first_failed_at"] == shapes.moment(START + 30 * DAY + 3600)


def test_a_free_first_invoice_is_no_payment():
    free = invoice(status="paid", amount_paid=0, status_transitions={"paid_at": START, "finalized_at": START})
    real = invoice(
        status="paid", amount_paid=5, status_transitions={"paid_at": START + DAY, "finalized_at": START}
    )

    assert row(subscription(item("hybrid_pro_month")), invoices=[free])["first_paid_at"] is None
    assert row(subscription(item("hybrid_pro_month")), invoices=[real, free])[
        "first_paid_at"
    ] == shapes.moment(START + DAY)


def test_documents_of_older_api_versions_are_read_too():
    """As an older endpoint or a restored mirror may still hold them."""
    old = {
        "current_period_start": START,
        "current_period_end": START + DAY,
        "items": {"data": [{"id": "si_1"}]},
    }

    assert shapes.sub_period(old) == (START, START + DAY)
    assert shapes.item_period({"id": "si_1"}, old) == (shapes.moment(START), shapes.moment(START + DAY))
    assert shapes.invoice_subscription_id({"subscription": "sub_9"}) == "sub_9"
    assert shapes.invoice_payment_intent_ids({"payment_intent": {"id": "pi_9"}}) == ["pi_9"]
    assert shapes.invoice_charge_ids({"charge": "ch_9"}) == ["ch_9"]
    assert shapes.coupon_of_discount({"coupon": {"id": "TEN"}}) == {"id": "TEN"}


def test_more_is_never_refunded_than_was_paid_on_the_invoice():
    seen = projection.of_payment(
        {
            **invoice(status="paid", amount_paid=500),
            "amount_due": 500,
            "attempt_count": 1,
            "currency": "usd",
            "created": START,
            "lines": {"data": []},
        },
        charges=[
            {
                "id": "ch_1",
                "status": "succeeded",
                "payment_intent": "pi_1",
                "amount_refunded": 900,
                "created": START,
            }
        ],
    )

    assert (seen["amount_refunded"], seen["stripe_charge_id"]) == (500, "ch_1")
