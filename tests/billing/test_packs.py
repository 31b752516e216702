"""A pack is paid on Stripe's page and becomes credits once; money that goes back takes them back."""

import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from threading import Barrier, Thread
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts.models import Account, User
from billing import catalog, clock, grants
from billing.lifecycle import packs, subscriptions
from billing.models import Alert, CreditEntry, CreditGrant, Payment
from billing.stripe import gateway
from simulator.hosted import checkout as page
from tests.billing.pack_shopping import CATALOG, acting_for, buy, come_back, go_to_the_till, left, pay, use
from tests.billing.purchases import at_stripe, known
from tests.billing.shopping import let_pass
from tests.stack.stripe import Settle
from usage import metering

if TYPE_CHECKING:
    from simulator.core import Simulator


pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def copy_shop(settings: Any) -> None:
    settings.BILLING_CATALOG = CATALOG


@pytest.fixture
def buyer(as_alice: Client, account: Account) -> Client:
    """Alice's browser, acting for her organization."""
    return acting_for(as_alice, account)


def test_a_pack_is_paid_and_its_units_are_there_when_the_browser_comes_back(
    shop: "Simulator", buyer: Client, account: Account
) -> None:
    session_id = go_to_the_till(buyer, number="2")
    assert left(account) == 0
    pay(shop, session_id)

    answer = come_back(buyer, session_id)

    assert "Paid: 1,000 pages are added to your credits." in answer.content.decode()
    grant = CreditGrant.objects.get(account=account)
    assert (grant.units, grant.amount_paid, grant.currency) == (1000, 5000, "usd")
    assert grant.expires_at == grant.granted_at + timedelta(days=365)
    assert left(account) == 1000
    billing = buyer.get("/billing/").content.decode()
    assert "$50.00" in billing
    assert Payment.objects.get(account=account).description == "2 × 500 pages"


def test_a_buyer_who_never_comes_back_has_the_units_all_the_same_and_once(
    shop: "Simulator", buyer: Client, account: Account, settle: Settle
) -> None:
    session_id = go_to_the_till(buyer)
    pay(shop, session_id)
    settle(shuffle=random.Random(4).shuffle)
    assert left(account) == 500
    for event in at_stripe().v1.events.list({"limit": 100}).data:
        shop.deliveries.resend(event.id)
    settle()
    come_back(buyer, session_id)
    come_back(buyer, session_id)
    assert left(account) == 500
    assert CreditEntry.objects.count() == 1


def test_without_any_letter_the_daily_look_finds_the_payment(
    shop: "Simulator", buyer: Client, account: Account
) -> None:
    pay(shop, go_to_the_till(buyer))
    shop.deliveries.forget()
    subscriptions.sync(account=account, reason="reconcile")
    assert left(account) == 500


def test_who_turns_back_at_the_till_pays_nothing_and_gets_nothing(
    shop: "Simulator", buyer: Client, account: Account
) -> None:
    session_id = go_to_the_till(buyer)
    answer = come_back(buyer, session_id)
    assert "The payment was not finished, so nothing was charged." in answer.content.decode()
    assert left(account) == 0


def test_a_payment_from_a_bank_counts_when_the_bank_has_paid(
    shop: "Simulator", buyer: Client, account: Account, settle: Settle, settings: Any, tmp_path: Path
) -> None:
    euros = tmp_path / "euros.toml"
    euros.write_text(Path(CATALOG).read_text().replace('"usd"', '"eur"'))
    settings.BILLING_CATALOG = str(euros)
    call_command("sync_catalog", verbosity=0)
    session_id = go_to_the_till(buyer)
    # As if bank debits were switched on in Stripe's Dashboard.
    session = shop.store.get("checkout.session", session_id)
    assert session is not None
    session["payment_method_types"] = ["card", "sepa_debit"]
    shop.save(session)
    _save_bank_account(account)
    page.pay(shop, session_id)

    waiting = come_back(buyer, session_id).content.decode()
    assert "Waiting for the payment" in waiting and "asked=1" in waiting
    patience_is_over = buyer.get("/billing/credits/bought/", {"session_id": session_id, "asked": "10"})
    assert "Please do not pay a second time" in patience_is_over.content.decode()
    assert left(account) == 0

    let_pass(account, clock.now(account) + timedelta(minutes=10))
    settle()
    assert left(account) == 500
    assert "Paid: 500 pages are added" in come_back(buyer, session_id).content.decode()
    assert Payment.objects.get(account=account).status == "paid"


def _save_bank_account(account: Account) -> None:
    """One whose bank answers after three minutes."""
    client = at_stripe()
    method = client.v1.payment_methods.create(
        {
            "type": "sepa_debit",
            "sepa_debit": {"iban": "AT321904300235473204"},
            "billing_details": {"name": "Kim", "email": "kim@example.com"},
        }
    )
    client.v1.payment_methods.attach(method.id, {"customer": known(account)})
    client.v1.customers.update(known(account), {"invoice_settings": {"default_payment_method": method.id}})


def test_what_was_paid_is_given_although_the_pack_left_the_price_list_meanwhile(
    shop: "Simulator", buyer: Client, account: Account, settings: Any
) -> None:
    pay(shop, go_to_the_till(buyer))
    settings.BILLING_CATALOG = "kaboot"
    subscriptions.sync(account=account, reason="test")
    assert left(account) == 500
    assert buyer.get("/billing/credits/").status_code == 200


def test_units_of_the_metadata_that_make_no_sense_are_told_to_staff_once(
    shop: "Simulator", buyer: Client, account: Account
) -> None:
    customer = known(account)
    method = at_stripe().v1.payment_methods.attach("pm_card_visa", {"customer": customer})
    at_stripe().v1.payment_intents.create(
        {
            "amount": 2500,
            "currency": "usd",
            "customer": customer,
            "payment_method": method.id,
            "payment_method_types": ["card"],
            "confirm": True,
            "metadata": {"tallyhouse_pack": "copy_pages_500", "tallyhouse_units": "many"},
        }
    )
    for _ in range(2):
        subscriptions.sync(account=account, reason="test")
    assert left(account) == 0
    assert Alert.objects.get(kind="pack_unreadable").times_seen == 1


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"pack": "nonsense", "number": "1"}, "That pack is not on sale."),
        ({"number": "1"}, "That pack is not on sale."),
        ({"pack": "copy_pages_500", "number": "0"}, "Choose from 1 to 99 packs"),
        ({"pack": "copy_pages_500", "number": "100"}, "Choose from 1 to 99 packs"),
        ({"pack": "copy_pages_500", "number": "-1"}, "must be a whole number"),
        ({"pack": "copy_pages_500", "number": "1.5"}, "must be a whole number"),
        ({"pack": "copy_pages_500", "number": "²"}, "must be a whole number"),
        ({"pack": "copy_pages_500", "number": ""}, "must be a whole number"),
    ],
)
def test_a_wrong_choice_says_what_is_wrong_and_opens_nothing(
    shop: "Simulator", buyer: Client, choice: dict[str, str], words: str
) -> None:
    answer = buyer.post("/billing/credits/buy/", choice, follow=True)
    assert words in answer.content.decode()
    assert at_stripe().v1.checkout.sessions.list().data == []


def test_a_page_of_somebody_else_is_not_found(
    shop: "Simulator", buyer: Client, as_charlie: Client, charlie: User
) -> None:
    session_id = go_to_the_till(buyer)
    pay(shop, session_id)
    for wrong in (session_id, "cs_test_nothing", "../../customers", "cs_a b"):
        answer = as_charlie.get("/billing/credits/bought/", {"session_id": wrong})
        assert answer.status_code == 404, wrong
    assert not CreditGrant.objects.filter(account=charlie.personal_account).exists()


def test_a_member_sees_what_is_left_and_neither_money_nor_buttons(
    shop: "Simulator", buyer: Client, as_bob: Client, account: Account
) -> None:
    acting_for(as_bob, account)
    buy(shop, buyer)
    text = as_bob.get("/billing/credits/").content.decode()
    assert "500 pages" in text
    assert "$25.00" not in text and "/billing/credits/buy/" not in text
    assert as_bob.post("/billing/credits/buy/", {"pack": "copy_pages_500"}).status_code == 403
    assert as_bob.get("/billing/credits/bought/", {"session_id": "cs_test_1"}).status_code == 403


def test_the_history_names_every_change_and_pages(shop: "Simulator", buyer: Client, account: Account) -> None:
    grant = buy(shop, buyer)
    for _ in range(32):
        use(account, 1)
    first = buyer.get("/billing/credits/").content.decode()
    assert "Used: pages" in first and "Added: pages" not in first
    assert "Earlier changes" in first
    oldest = CreditEntry.objects.order_by("-id")[29].pk
    second = buyer.get("/billing/credits/", {"before": str(oldest)}).content.decode()
    assert "Added: pages" in second and "+500" in second
    assert buyer.get("/billing/credits/", {"before": "x"}).status_code == 200
    assert grant.units == 500


def test_units_that_never_end_need_no_pack(
    shop: "Simulator", buyer: Client, alice: User, account: Account
) -> None:
    grants.give(account=account, plan_key="team", kind="comped", reason="Friends", now=timezone.now())
    page_text = buyer.get("/billing/credits/").content.decode()
    assert "copy_pages_500" not in page_text and "copy_scans_100" in page_text
    with pytest.raises(packs.NotNeeded, match="unlimited pages"):
        packs.start(
            account=account,
            pack=catalog.current().pack("copy_pages_500"),
            number=1,
            user=alice,
            now=timezone.now(),
        )


def test_another_price_at_stripe_than_on_our_page_sells_nothing(
    shop: "Simulator", buyer: Client, settings: Any, tmp_path: Path
) -> None:
    dearer = tmp_path / "packs.toml"
    dearer.write_text(Path(CATALOG).read_text().replace("amount = 2500", "amount = 2700"))
    settings.BILLING_CATALOG = str(dearer)
    answer = buyer.post("/billing/credits/buy/", {"pack": "copy_pages_500", "number": "1"}, follow=True)
    assert "The price of 500 pages is being changed just now." in answer.content.decode()


def test_a_pack_that_was_never_pushed_is_told_to_staff(simulator: "Simulator", buyer: Client) -> None:
    answer = buyer.post("/billing/credits/buy/", {"pack": "copy_pages_500", "number": "1"}, follow=True)
    assert "cannot be bought just now" in answer.content.decode()
    assert "sync_catalog" in Alert.objects.get(kind="price_missing").message


def test_when_stripe_is_away_nothing_is_charged_and_the_customer_is_told(
    shop: "Simulator", buyer: Client, stripe_fails: Callable[..., None]
) -> None:
    stripe_fails(method="POST", path="/v1/checkout/sessions", status=500, times=5)
    answer = buyer.post("/billing/credits/buy/", {"pack": "copy_pages_500", "number": "1"}, follow=True)
    assert "nothing was charged" in answer.content.decode()


def test_a_pack_is_used_when_the_allowance_is(shop: "Simulator", buyer: Client, account: Account) -> None:
    buy(shop, buyer)
    receipt = metering.consume(
        account=account, feature="pages", units=17, idempotency_key="a", now=timezone.now()
    )
    drawn = {source.kind: source.units for source in receipt.sources}
    assert drawn == {"allowance": 10, "forgiven": 5, "credits": 2}
    assert left(account) == 498


def test_packs_come_to_stripe_as_prices_paid_once_and_leave_with_the_file(
    shop: "Simulator", settings: Any, tmp_path: Path
) -> None:
    found = list(gateway.pages("/v1/prices", {"lookup_keys": ["copy_pages_500"]}))
    assert [(price["type"], price["unit_amount"], price["active"]) for price in found] == [
        ("one_time", 2500, True)
    ]
    without = tmp_path / "packs.toml"
    text = Path(CATALOG).read_text()
    without.write_text(text[: text.index("[[packs]]")])
    settings.BILLING_CATALOG = str(without)
    call_command("sync_catalog", verbosity=0)
    assert list(gateway.pages("/v1/prices", {"lookup_keys": ["copy_pages_500"], "active": True})) == []
    products = gateway.pages("/v1/products", {"active": True})
    assert not any("_pack_" in product["id"] for product in products)


@pytest.mark.postgres
def test_a_letter_the_page_and_the_daily_look_at_once_give_once(
    shop: "Simulator", buyer: Client, account: Account, settle: Settle
) -> None:
    session_id = go_to_the_till(buyer)
    pay(shop, session_id)
    together, faults = Barrier(3), []

    def in_a_thread(act: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            together.wait(10)
            try:
                act()
            except Exception as error:
                faults.append(error)
            finally:
                connection.close()

        return run

    acts: list[Callable[[], object]] = [
        settle,
        lambda: come_back(buyer, session_id),
        lambda: subscriptions.sync(account=account, reason="reconcile", wait_seconds=5),
    ]
    threads = [Thread(target=in_a_thread(act)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert faults == []
    assert left(account) == 500
    assert CreditGrant.objects.count() == 1
