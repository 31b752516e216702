"""How the API answers: keys, idempotency, refusals, lists, expansion, and memory across a restart."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import stripe

from simulator.core import Simulator
from simulator.hosted import checkout
from simulator.server import Running
from tests.simulator.shop import Shop, card

KEY = {"Authorization": "Bearer sk_test_" + "0" * 24}


def ask(
    sim: Simulator, method: str, path: str, form: str = "", **headers: str
) -> tuple[int, dict[str, str], Any]:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    query, body = (form, b"") if method == "GET" else ("", form.encode())
    status, found, answer = sim.handle(method, path, query, body, KEY | given)
    return status, found, json.loads(answer)


def test_a_key_that_is_not_a_key_is_refused(house: Running, sim: Simulator) -> None:
    for key in ("sk_test_short", "pk_test_" + "0" * 24):
        client = stripe.StripeClient(key, base_addresses={"api": house.url})
        with pytest.raises(stripe.AuthenticationError):
            client.v1.customers.list()
    assert sim.handle("GET", "/v1/customers")[0] == 401


def test_every_answer_names_its_request_and_the_api_version(sim: Simulator) -> None:
    _, headers, _ = ask(sim, "GET", "/v1/customers")

    assert headers["Request-Id"].startswith("req_")
    assert headers["Stripe-Version"] == stripe.api_version


def test_the_same_key_gives_the_same_customer(api: stripe.StripeClient) -> None:
    options: stripe.RequestOptions = {"idempotency_key": "first-click"}

    first = api.v1.customers.create({"email": "kim@example.com"}, options)
    second = api.v1.customers.create({"email": "kim@example.com"}, options)

    assert first.id == second.id
    assert len(api.v1.customers.list().data) == 1


def test_a_replayed_answer_says_so(sim: Simulator) -> None:
    ask(sim, "POST", "/v1/customers", "email=a@b.c", Idempotency_Key="k1")
    _, headers, _ = ask(sim, "POST", "/v1/customers", "email=a@b.c", Idempotency_Key="k1")

    assert headers["Idempotent-Replayed"] == "true"


def test_the_same_key_with_other_parameters_is_an_error(api: stripe.StripeClient) -> None:
    options: stripe.RequestOptions = {"idempotency_key": "reused"}
    api.v1.customers.create({"email": "kim@example.com"}, options)

    with pytest.raises(stripe.IdempotencyError):
        api.v1.customers.create({"email": "lee@example.com"}, options)


def test_a_key_whose_request_was_refused_can_be_used_again(api: stripe.StripeClient) -> None:
    options: stripe.RequestOptions = {"idempotency_key": "again"}
    with pytest.raises(stripe.InvalidRequestError):
        api.v1.customers.create({"emal": "kim@example.com"}, options)  # type: ignore[typeddict-unknown-key]

    assert api.v1.customers.create({"email": "kim@example.com"}, options).id


def test_an_unknown_parameter_is_named(api: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        api.v1.customers.create({"address": {"planet": "Mars"}})  # type: ignore[typeddict-unknown-key]

    assert refusal.value.code == "parameter_unknown"
    assert refusal.value.param == "address[planet]"
    assert "Received unknown parameter: address[planet]" in str(refusal.value)


def test_a_missing_parameter_is_named(sim: Simulator) -> None:
    status, _, answer = ask(sim, "POST", "/v1/prices", "unit_amount=100")

    assert status == 400
    assert (answer["error"]["code"], answer["error"]["param"]) == ("parameter_missing", "currency")


def test_what_does_not_exist_is_404_in_the_path_and_400_in_a_parameter(api: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as in_path:
        api.v1.customers.retrieve("cus_nobody")
    with pytest.raises(stripe.InvalidRequestError) as in_parameter:
        api.v1.checkout.sessions.create(
            {"customer": "cus_nobody", "mode": "setup", "success_url": "https://a.b"}
        )

    assert (in_path.value.http_status, in_path.value.code) == (404, "resource_missing")
    assert (in_parameter.value.http_status, in_parameter.value.code) == (400, "resource_missing")
    assert in_parameter.value.param == "customer"


def test_an_address_nobody_lives_at_is_404(sim: Simulator) -> None:
    assert ask(sim, "GET", "/v1/unicorns")[0] == 404


def test_lists_are_newest_first_and_paged_both_ways(api: stripe.StripeClient) -> None:
    made = [api.v1.customers.create({"name": str(number)}).id for number in range(7)]
    made.reverse()

    first = api.v1.customers.list({"limit": 3})
    second = api.v1.customers.list({"limit": 3, "starting_after": first.data[-1].id})
    back = api.v1.customers.list({"limit": 2, "ending_before": second.data[0].id})

    assert [found.id for found in first.data] == made[:3] and first.has_more
    assert [found.id for found in second.data] == made[3:6] and second.has_more
    assert [found.id for found in back.data] == made[1:3] and back.has_more
    assert [found.id for found in api.v1.customers.list({"limit": 2}).auto_paging_iter()] == made


def test_a_page_can_have_a_hundred_entries_and_a_list_within_an_object_shows_ten(shop: Shop) -> None:
    customer = shop.customer()
    for number in range(25):
        item = {"customer": customer, "amount": number + 1, "currency": "usd"}
        shop.v1.invoice_items.create(item)  # type: ignore[arg-type]
    invoice = shop.v1.invoices.create({"customer": customer, "pending_invoice_items_behavior": "include"})

    assert len(shop.v1.invoice_items.list({"limit": 100}).data) == 25
    shown = shop.v1.invoices.retrieve(invoice.id).lines
    assert (len(shown.data), shown.has_more) == (10, True)
    every = list(shop.v1.invoices.line_items.list(invoice.id, {"limit": 10}).auto_paging_iter())
    assert len({line.id for line in every}) == 25


def test_a_page_has_at_most_a_hundred_entries(api: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="between 1 and 100"):
        api.v1.customers.list({"limit": 101})


def test_lists_can_be_asked_for_a_span_of_time(shop: Shop) -> None:
    shop.customer()
    shop.advance(days=10)
    later = shop.customer()
    moment = shop.v1.customers.retrieve(later).created

    found = shop.v1.customers.list({"test_clock": shop.clock, "created": {"gte": moment}})

    assert [customer.id for customer in found.data] == [later]


def test_customers_are_found_by_mail_and_by_metadata(api: stripe.StripeClient) -> None:
    kim = api.v1.customers.create({"email": "kim@example.com", "metadata": {"account": "42"}}).id
    api.v1.customers.create({"email": "lee@example.com", "metadata": {"account": "43"}})

    assert [found.id for found in api.v1.customers.list({"email": "kim@example.com"}).data] == [kim]
    searched = api.v1.customers.search({"query": 'metadata["account"]:"42"'})
    assert [found.id for found in searched.data] == [kim]


def test_expanding_opens_ids_at_any_depth(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    shop.subscribe(shop.price(), customer=customer)

    found = shop.v1.subscriptions.list({"expand": ["data.latest_invoice.payments", "data.customer"]}).data[0]
    assert found.customer.email == "kim@example.com"  # type: ignore[union-attr]
    invoice = found.latest_invoice
    assert isinstance(invoice, stripe.Invoice) and invoice.payments is not None
    name = invoice.payments.data[0].invoice
    opened = shop.v1.invoices.retrieve(str(name), {"expand": ["payments.data.payment.payment_intent"]})
    assert opened.payments is not None
    payment = opened.payments.data[0].payment.payment_intent
    assert isinstance(payment, stripe.PaymentIntent) and payment.amount_received == 2900
    with pytest.raises(stripe.InvalidRequestError, match="more than 4 levels"):
        shop.v1.subscriptions.list({"expand": ["data.items.data.price.product"]})


def test_what_is_only_shown_on_request_is_shown_on_request(shop: Shop) -> None:
    customer = shop.customer()
    session = shop.session(shop.price(), customer=customer)
    shop.pay(session)
    deep = ["total_details.breakdown", "line_items.data.discounts", "subscription.latest_invoice.payments"]

    opened = shop.v1.checkout.sessions.retrieve(session, {"expand": deep})
    kim = shop.v1.customers.retrieve(customer, {"expand": ["subscriptions", "sources", "tax_ids", "tax"]})

    assert opened.total_details is not None and opened.total_details.breakdown is not None
    assert kim.subscriptions is not None and len(kim.subscriptions.data) == 1
    assert kim.sources is not None and kim.sources.data == []
    assert "subscriptions" not in shop.v1.customers.retrieve(customer).to_dict()


def test_what_cannot_be_expanded_is_an_error(api: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
        api.v1.customers.create({"expand": ["unicorn"]})


def test_an_empty_value_clears_and_metadata_merges(api: stripe.StripeClient) -> None:
    customer = api.v1.customers.create({"name": "Kim", "metadata": {"a": "1", "b": "2"}})

    after = api.v1.customers.update(customer.id, {"name": "", "metadata": {"a": "", "c": "3"}})

    assert after.name is None
    assert after.metadata is not None and after.metadata.to_dict() == {"b": "2", "c": "3"}


def test_an_update_tells_what_was_before(shop: Shop) -> None:
    customer = shop.customer()
    shop.v1.customers.update(customer, {"name": "Kimberley"})

    event = shop.v1.events.list({"type": "customer.updated"}).data[0]

    assert event.data.previous_attributes is not None
    assert event.data.previous_attributes.to_dict() == {"name": "Kim"}
    assert event["request"]["id"].startswith("req_")


def test_twenty_clicks_at_once_with_one_key_make_one_customer(house: Running, sim: Simulator) -> None:
    def click(_: int) -> str:
        client = stripe.StripeClient("sk_test_" + "0" * 24, base_addresses={"api": house.url})
        return client.v1.customers.create(
            {"email": "kim@example.com"}, {"idempotency_key": "double-click"}
        ).id

    with ThreadPoolExecutor(20) as hands:
        found = set(hands.map(click, range(20)))

    assert len(found) == 1
    assert sum(1 for _ in sim.store.all("customer")) == 1


def test_a_process_killed_in_the_middle_loses_nothing_it_answered(tmp_path: Path) -> None:
    path = str(tmp_path / "stripe.sqlite3")
    script = (
        "import sys\n"
        "from simulator.core import Simulator\n"
        f"sim = Simulator({path!r})\n"
        "headers = {'Authorization': 'Bearer sk_test_' + '0' * 24}\n"
        "while True:\n"
        "    answer = sim.handle('POST', '/v1/customers', '', b'email=a@b.c', headers)\n"
        "    sys.stdout.buffer.write(answer[2] + b'\\n')\n"
        "    sys.stdout.buffer.flush()\n"
    )
    worker = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert worker.stdout is not None
    answered = [json.loads(worker.stdout.readline())["id"] for _ in range(50)]
    worker.kill()
    worker.wait()
    worker.stdout.close()

    after = Simulator(path)

    assert all(after.store.get("customer", name) for name in answered)
    told = {event["data"]["object"]["id"] for event in after.store.all("event")}
    assert told == {customer["id"] for customer in after.store.all("customer")}
    after.store.close()


@pytest.mark.parametrize(
    "path",
    [
        "customers",
        "products",
        "prices",
        "payment_methods",
        "payment_intents",
        "setup_intents",
        "charges",
        "refunds",
        "disputes",
        "coupons",
        "promotion_codes",
        "subscriptions",
        "invoices",
        "invoiceitems",
        "invoice_payments",
        "events",
        "webhook_endpoints",
        "payouts",
        "tax_rates",
        "credit_notes",
        "subscription_schedules",
        "balance_transactions",
        "checkout/sessions",
        "billing_portal/configurations",
        "billing/meters",
        "test_helpers/test_clocks",
        "entitlements/features",
        "accounts",
    ],
)
def test_every_noun_can_be_listed(sim: Simulator, path: str) -> None:
    status, _, answer = ask(sim, "GET", f"/v1/{path}")

    assert status == 200
    assert (answer["object"], answer["data"], answer["has_more"]) == ("list", [], False)


def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    path = str(tmp_path / "stripe.sqlite3")
    before = Simulator(path)
    price = ask(
        before,
        "POST",
        "/v1/prices",
        "currency=usd&unit_amount=500&product_data[name]=Pro&recurring[interval]=month",
    )[2]
    form = f"mode=subscription&success_url=https://a.b&line_items[0][price]={price['id']}&line_items[0][quantity]=1"
    session = ask(before, "POST", "/v1/checkout/sessions", form, Idempotency_Key="once")[2]
    checkout.pay(before, session["id"], card=card(), email="kim@example.com")
    before.jump(86_400)

    # No close, no farewell: what has been answered has been written.
    after = Simulator(path)

    kept = ask(after, "GET", f"/v1/checkout/sessions/{session['id']}", "expand[]=subscription")[2]
    assert kept["subscription"]["status"] == "active"
    assert after.clock.offset == 86_400
    replay = ask(after, "POST", "/v1/checkout/sessions", form, Idempotency_Key="once")
    assert replay[1]["Idempotent-Replayed"] == "true" and replay[2]["id"] == session["id"]
    item = kept["subscription"]["items"]["data"][0]
    assert ask(after, "GET", f"/v1/subscription_items/{item['id']}")[0] == 200

    after.jump(32 * 86_400)
    invoices = ask(after, "GET", "/v1/invoices", f"subscription={kept['subscription']['id']}")[2]["data"]
    assert [invoice["billing_reason"] for invoice in invoices] == [
        "subscription_cycle",
        "subscription_create",
    ]
    before.store.close()
    after.store.close()
