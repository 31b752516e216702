"""A price rises: old customers keep theirs until they were told and renewed, one by one; stopped and undone at will."""

from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings as house
from django.core.management import CommandError, call_command
from django.urls import reverse

from accounts.models import Account, Notification
from billing import catalog, clock
from billing.lifecycle import checkout, subscriptions
from billing.messages import reminders
from billing.models import Alert, Payment, PriceRise, PriceRiseStep, Subscription
from billing.price_rises import carrying
from billing.stripe import catalog_push, gateway
from tests import factories
from tests.accounts.conftest import acting_for
from tests.billing.changing import change
from tests.billing.shopping import buy, let_pass, pay
from tests.billing.test_billing_pages import text

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "kaboot_pro_month"


@pytest.fixture
def shop(simulator, settings, tmp_path):
    """Kaboot with its price list in a file that may be edited."""
    file = tmp_path / "shop.toml"
    file.write_text((Path(house.BILLING_CATALOG_DIR) / "kaboot.toml").read_text())
    settings.BILLING_CATALOG = str(file)
    call_command("sync_catalog", verbosity=0)
    simulator.deliveries.forget()
    return simulator


@pytest.fixture
def raise_to_seven(settings, tmp_path):
    """The founder writes $7 into the price list and pushes it."""

    def act():
        file = tmp_path / "raised.toml"
        words = Path(settings.BILLING_CATALOG).read_text()
        file.write_text(words.replace("amount = 500\n", "amount = 700\n"))
        settings.BILLING_CATALOG = str(file)
        call_command("sync_catalog", verbosity=0)

    return act


def migrate(*arguments, **options):
    out = StringIO()
    call_command("migrate_price", *arguments, stdout=out, **options)
    return out.getvalue()


def begin(**options):
    return migrate("--from", KEY, "--to", KEY, "--reason", "costs rose", **options)


def paid(account):
    return list(
        Payment.objects.filter(account=account, status="paid")
        .order_by("created_at")
        .values_list("amount_paid", flat=True)
    )


def told(account):
    return list(
        Notification.objects.filter(account=account, kind__startswith="price_rise")
        .order_by("pk")
        .values_list("subject", flat=True)
    )


def test_old_customers_keep_their_price_as_long_as_nobody_moves_them(shop, account, alice, raise_to_seven):
    bought = buy(shop, account, alice, KEY)
    raise_to_seven()

    let_pass(account, bought.current_period_end + timedelta(hours=2))

    assert paid(account) == [500, 500]
    subscription = Subscription.objects.live().get()
    assert (subscription.plan_key, subscription.needs_review) == ("pro", False)
    assert subscription.next_charge_amount == 500


def test_a_dry_run_lists_each_account_with_its_delta_and_changes_nothing(
    shop, account, alice, raise_to_seven
):
    buy(shop, account, alice, KEY)
    raise_to_seven()

    said = begin(dry_run=True)

    assert "Alice & Co (organization): $5.00 to $7.00 × 1, +$2.00 a period" in said
    assert "1 would move, 0 stay." in said
    assert not PriceRise.objects.exists()


def test_a_customer_is_told_ahead_and_pays_the_new_price_from_the_first_renewal_after(
    shop, account, alice, raise_to_seven
):
    bought = buy(shop, account, alice, KEY)
    raise_to_seven()
    begin(notice_days=40)
    carrying.carry_on(now=clock.wall())
    step = PriceRiseStep.objects.get()
    assert step.applies_at > bought.current_period_end  # forty days reach beyond the first renewal
    assert told(account) == [f"Pro will cost $7.00 from {step.applies_at:%-d %B %Y}"]

    let_pass(account, bought.current_period_end + timedelta(hours=2))
    carrying.carry_on(now=clock.wall())
    assert paid(account) == [500, 500]
    let_pass(account, step.applies_at - timedelta(days=3, hours=23))
    carrying.carry_on(now=clock.wall())

    assert PriceRiseStep.objects.get().state == "moved"
    assert paid(account) == [500, 500]
    assert Subscription.objects.live().get().next_charge_amount == 700
    let_pass(account, step.applies_at + timedelta(hours=2))
    assert paid(account) == [500, 500, 700]


def test_who_signs_up_after_the_rise_is_not_part_of_it(shop, account, alice, raise_to_seven):
    raise_to_seven()
    buy(shop, account, alice, KEY)

    assert "0 would move" in begin(dry_run=True)
    with pytest.raises(CommandError, match="Nobody would be moved"):
        begin()


def test_the_sweeper_may_come_as_often_as_it_likes_and_be_killed_in_between(
    shop, account, alice, raise_to_seven, monkeypatch
):
    bought = buy(shop, account, alice, KEY)
    raise_to_seven()
    begin(notice_days=7)
    for _ in range(3):
        carrying.carry_on(now=clock.wall())
    assert len(told(account)) == 1
    let_pass(account, bought.current_period_end - timedelta(days=2))

    with monkeypatch.context() as crash:  # after Stripe has moved it, before our row says so
        crash.setattr(carrying.PriceRiseStep.objects, "filter", _killed)
        with pytest.raises(RuntimeError):
            carrying._move(PriceRiseStep.objects.get(), quantity=1, now=clock.now(account))
    for _ in range(3):
        carrying.carry_on(now=clock.wall())

    let_pass(account, bought.current_period_end + timedelta(hours=2))
    assert paid(account) == [500, 700]


def _killed(*_, **__):
    raise RuntimeError("the process was killed here")


def test_a_campaign_is_stopped_and_who_was_told_hears_that_it_is_off(shop, account, alice, raise_to_seven):
    bought = buy(shop, account, alice, KEY)
    raise_to_seven()
    begin(notice_days=7)
    carrying.carry_on(now=clock.wall())

    migrate("--stop", str(PriceRise.objects.get().pk))
    migrate("--stop", str(PriceRise.objects.get().pk))
    let_pass(account, bought.current_period_end - timedelta(days=1))
    carrying.carry_on(now=clock.wall())
    let_pass(account, bought.current_period_end + timedelta(hours=2))

    assert told(account)[1:] == ["Pro keeps its price"]
    assert paid(account) == [500, 500]


def test_a_campaign_is_undone_and_the_next_invoice_has_the_old_price(
    shop, account, alice, raise_to_seven, as_dana
):
    bought = buy(shop, account, alice, KEY)
    raise_to_seven()
    begin(notice_days=7)
    carrying.carry_on(now=clock.wall())
    let_pass(account, bought.current_period_end - timedelta(days=2))
    carrying.carry_on(now=clock.wall())
    let_pass(account, bought.current_period_end + timedelta(hours=2))
    assert paid(account) == [500, 700]

    as_dana.post(
        reverse("admin:billing_pricerise_changelist"),
        {"action": "undo", "_selected_action": [PriceRise.objects.get().pk]},
    )

    assert PriceRiseStep.objects.get().state == "undone"
    let_pass(account, Subscription.objects.live().get().current_period_end + timedelta(hours=2))
    assert paid(account) == [500, 700, 500]
    assert told(account)[1:] == ["Pro costs $5.00 again"]


def test_undone_after_it_was_charged_the_letter_says_what_was_and_from_when_it_is_less(
    shop, account, alice, raise_to_seven
):
    bought = buy(shop, account, alice, KEY)
    raise_to_seven()
    begin(notice_days=7)
    carrying.carry_on(now=clock.wall())
    let_pass(account, bought.current_period_end - timedelta(days=2))
    carrying.carry_on(now=clock.wall())
    let_pass(account, bought.current_period_end + timedelta(hours=2))
    assert paid(account) == [500, 700]

    migrate("--undo", str(PriceRise.objects.get().pk))

    since, again = bought.current_period_end, Subscription.objects.live().get().current_period_end
    letter = Notification.objects.get(account=account, kind="price_rise_off")
    assert f"Since {since:%-d %B %Y} Pro of Alice & Co costs $7.00." in letter.text
    assert f"From {again:%-d %B %Y} on it costs $5.00 again; what was charged so far stays" in letter.text
    assert "would cost" not in letter.text


def test_who_is_held_out_or_leaving_stays_and_is_listed(shop, account, alice, raise_to_seven):
    buy(shop, account, alice, KEY)
    erin = factories.person(email="erin@example.com")
    leaving = factories.organization(owner=erin, name="Leaving Ltd")
    buy(shop, leaving, erin, KEY)
    subscriptions.cancel(account=leaving)
    raise_to_seven()

    said = begin(dry_run=True, held_out=[account.pk])

    assert "stays, held out" in said
    assert "Leaving Ltd (organization): $5.00 to $7.00 × 1, +$2.00 a period; stays, is leaving" in said


def test_who_cancels_after_the_letter_is_left_out(shop, account, alice, raise_to_seven):
    bought = buy(shop, account, alice, KEY)
    raise_to_seven()
    begin(notice_days=7)
    carrying.carry_on(now=clock.wall())
    subscriptions.cancel(account=account)
    let_pass(account, bought.current_period_end - timedelta(days=2))

    carrying.carry_on(now=clock.wall())

    assert PriceRiseStep.objects.get().state == "left_out"


def test_when_stripe_is_away_the_step_waits(shop, account, alice, raise_to_seven, stripe_fails):
    bought = buy(shop, account, alice, KEY)
    raise_to_seven()
    begin(notice_days=7)
    carrying.carry_on(now=clock.wall())
    let_pass(account, bought.current_period_end - timedelta(days=2))
    stripe_fails(times=99)

    assert carrying.carry_on(now=clock.wall()) == 0

    assert PriceRiseStep.objects.get().state == "told"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--from", KEY, "--to", "no_such_price"], "no price 'no_such_price'"),
        (["--from", KEY, "--to", "kaboot_pro_year", "--reason", "x"], "another rhythm"),
        (["--from", KEY], "Say --from and --to"),
        (["--stop", "77"], "There is no campaign 77"),
        (["--from", KEY, "--to", KEY], "Say why"),
        (["--from", KEY, "--to", KEY, "--reason", "x", "--notice-days", "3"], "at least 7 days"),
    ],
)
def test_a_campaign_that_makes_no_sense_is_refused_in_words(
    shop, account, alice, raise_to_seven, arguments, said
):
    buy(shop, account, alice, KEY)
    raise_to_seven()

    with pytest.raises(CommandError, match=said):
        migrate(*arguments)
    assert not PriceRise.objects.exists()


def test_a_price_list_that_was_not_pushed_moves_nobody(
    shop, account, alice, raise_to_seven, settings, tmp_path
):
    buy(shop, account, alice, KEY)
    file = tmp_path / "unpushed.toml"
    file.write_text(Path(settings.BILLING_CATALOG).read_text().replace("amount = 500\n", "amount = 900\n"))
    settings.BILLING_CATALOG = str(file)

    with pytest.raises(CommandError, match="Run sync_catalog first"):
        begin()
    assert gateway.get("/v1/prices", {"lookup_keys": [KEY]})["data"][0]["unit_amount"] == 500


def test_an_undo_leaves_alone_who_has_chosen_another_plan_since(shop, account, alice, raise_to_seven):
    bought = buy(shop, account, alice, KEY)
    raise_to_seven()
    begin(notice_days=7)
    carrying.carry_on(now=clock.wall())
    let_pass(account, bought.current_period_end - timedelta(days=2))
    carrying.carry_on(now=clock.wall())
    yearly = gateway.get("/v1/prices", {"lookup_keys": ["kaboot_pro_year"]})["data"][0]["id"]
    gateway.post(
        f"/v1/subscriptions/{bought.stripe_subscription_id}",
        {"items": [{"id": bought.items.get().stripe_item_id, "price": yearly}]},
        idempotency_key="their own choice",
    )
    subscriptions.sync(account=account, reason="test")

    migrate("--undo", str(PriceRise.objects.get().pk))

    assert Subscription.objects.live().get().price_lookup_key == "kaboot_pro_year"
    assert PriceRiseStep.objects.get().note == "has left, or pays another price by now"


def test_a_step_that_a_sweep_had_in_hand_is_not_moved_once_the_campaign_is_stopped(
    shop, account, alice, raise_to_seven
):
    bought = buy(shop, account, alice, KEY)
    raise_to_seven()
    begin(notice_days=7)
    carrying.carry_on(now=clock.wall())
    let_pass(account, bought.current_period_end - timedelta(days=2))
    in_hand = PriceRiseStep.objects.select_related("rise", "account").get()

    migrate("--stop", str(PriceRise.objects.get().pk))
    carrying._take(in_hand, now=clock.now(in_hand.account))

    let_pass(account, bought.current_period_end + timedelta(hours=2))
    assert paid(account) == [500, 500]


def number():
    return str(PriceRise.objects.get().pk)


def test_the_words_of_a_stop_and_an_undo_say_what_was_done_before_anybody_is_told(
    shop, account, alice, raise_to_seven
):
    buy(shop, account, alice, KEY)
    raise_to_seven()
    begin(notice_days=7)

    said = migrate("--stop", number())
    assert "Nobody had been told of a rise that is still to come. Had not been told: 1." in said
    assert "It was stopped before. Have the old price again: 0; failed: 0." in migrate("--undo", number())
    carrying.carry_on(now=clock.wall())

    assert told(account) == []
    assert PriceRiseStep.objects.get().note == "the campaign was stopped"


def test_half_way_a_stop_says_who_keeps_the_new_price_and_an_undo_gives_the_old_one_back(
    shop, account, alice, bob, raise_to_seven
):
    other_account = Account.objects.get(person=bob)
    bought = buy(shop, account, alice, KEY)
    buy(shop, other_account, bob, KEY)
    raise_to_seven()
    begin(notice_days=7)
    carrying.carry_on(now=clock.wall())
    let_pass(account, bought.current_period_end - timedelta(days=2))
    carrying.carry_on(now=clock.wall())
    assert set(PriceRiseStep.objects.values_list("state", flat=True)) == {"told", "moved"}

    said = migrate("--stop", number())
    assert "Had been told, and hear that nothing changes: 1." in said
    assert "Moved before, and charged the new price at the renewal that is ahead: 1. --undo" in said
    assert "It was stopped before. Have the old price again: 1; failed: 0." in migrate("--undo", number())

    assert sorted(PriceRiseStep.objects.values_list("state", flat=True)) == ["left_out", "undone"]
    let_pass(account, bought.current_period_end + timedelta(hours=2))
    assert paid(account) == [500, 500]
    for one in (account, other_account):
        assert told(one)[1:] == ["Pro keeps its price"]


def test_an_undo_leaves_alone_who_has_left_since(shop, account, alice, raise_to_seven):
    bought = buy(shop, account, alice, KEY)
    raise_to_seven()
    begin(notice_days=7)
    carrying.carry_on(now=clock.wall())
    let_pass(account, bought.current_period_end - timedelta(days=2))
    carrying.carry_on(now=clock.wall())
    subscriptions.cancel_now(account=account)

    said = migrate("--undo", number())

    assert "failed: 0; left alone, as they left or chose another price since: 1." in said
    assert PriceRiseStep.objects.get().note == "has left, or pays another price by now"


def test_who_is_moved_at_the_moment_of_a_stop_has_the_old_price_again(
    shop, account, alice, raise_to_seven, monkeypatch
):
    bought = buy(shop, account, alice, KEY)
    raise_to_seven()
    begin(notice_days=7)
    carrying.carry_on(now=clock.wall())
    let_pass(account, bought.current_period_end - timedelta(days=2))
    post = gateway.post

    def stopped_while_asked(path, *args, **kwargs):
        answer = post(path, *args, **kwargs)
        if kwargs.get("idempotency_key", "").startswith("rise:"):
            migrate("--stop", number())
        return answer

    with monkeypatch.context() as moment:
        moment.setattr(carrying.gateway, "post", stopped_while_asked)
        carrying.carry_on(now=clock.wall())

    let_pass(account, bought.current_period_end + timedelta(hours=2))
    assert paid(account) == [500, 500]
    assert told(account)[1:] == ["Pro keeps its price"]
    assert PriceRiseStep.objects.get().state == "undone"


def lost_answer(path, *args, post=gateway.post, **kwargs):
    """Stripe does it, and its answer never arrives."""
    answer = post(path, *args, **kwargs)
    if kwargs.get("idempotency_key", "").startswith("rise:"):
        raise gateway.StripeUnavailable("timed out")
    return answer


@pytest.fixture
def moved_unheard(shop, account, alice, raise_to_seven, monkeypatch):
    """Told and moved at Stripe, and nobody here knows it."""
    bought = buy(shop, account, alice, KEY)
    raise_to_seven()
    begin(notice_days=7)
    carrying.carry_on(now=clock.wall())
    let_pass(account, bought.current_period_end - timedelta(days=2))
    with monkeypatch.context() as moment:
        moment.setattr(carrying.gateway, "post", lost_answer)
        carrying.carry_on(now=clock.wall())
    assert PriceRiseStep.objects.get().state == "moving"
    return bought


def test_who_was_moved_by_a_call_whose_answer_was_lost_has_the_old_price_again_after_a_stop(
    moved_unheard, account
):
    said = migrate("--stop", number())

    assert "Had been told, and hear that nothing changes: 1." in said
    assert PriceRiseStep.objects.get().state == "undone"
    let_pass(account, moved_unheard.current_period_end + timedelta(hours=2))
    assert paid(account) == [500, 500]
    assert told(account)[1:] == ["Pro keeps its price"]


def test_a_stop_while_stripe_is_away_promises_nothing_until_the_old_price_is_back(
    moved_unheard, account, stripe_fails
):
    stripe_fails(times=99)
    said = migrate("--stop", number())
    assert "Stopped. Not seen to yet; the worker goes on with them: 1." in said
    assert told(account)[1:] == []
    stripe_fails.call_off()

    carrying.carry_on(now=clock.wall())

    assert told(account)[1:] == ["Pro keeps its price"]
    let_pass(account, moved_unheard.current_period_end + timedelta(hours=2))
    assert paid(account) == [500, 500]


def test_a_call_that_did_not_reach_stripe_is_told_off_by_a_stop_and_nothing_else(
    shop, account, alice, raise_to_seven, monkeypatch
):
    bought = buy(shop, account, alice, KEY)
    raise_to_seven()
    begin(notice_days=7)
    carrying.carry_on(now=clock.wall())
    let_pass(account, bought.current_period_end - timedelta(days=2))
    with monkeypatch.context() as moment:
        moment.setattr(carrying.gateway, "post", _killed)
        with pytest.raises(RuntimeError):
            carrying.carry_on(now=clock.wall())

    migrate("--stop", number())

    assert PriceRiseStep.objects.get().note == "the campaign was stopped"
    assert told(account)[1:] == ["Pro keeps its price"]
    let_pass(account, bought.current_period_end + timedelta(hours=2))
    assert paid(account) == [500, 500]


def test_an_old_price_that_could_not_be_given_back_at_the_stop_is_given_back_by_the_sweeper(
    shop, account, alice, raise_to_seven, monkeypatch
):
    bought = buy(shop, account, alice, KEY)
    raise_to_seven()
    begin(notice_days=7)
    carrying.carry_on(now=clock.wall())
    let_pass(account, bought.current_period_end - timedelta(days=2))
    post = gateway.post

    def stopped_and_then_away(path, *args, **kwargs):
        if kwargs.get("idempotency_key", "").startswith("unrise:"):
            raise gateway.StripeUnavailable("timed out")
        answer = post(path, *args, **kwargs)
        if kwargs.get("idempotency_key", "").startswith("rise:"):
            migrate("--stop", number())
        return answer

    with monkeypatch.context() as moment:
        moment.setattr(carrying.gateway, "post", stopped_and_then_away)
        carrying.carry_on(now=clock.wall())
        assert told(account)[1:] == []
        assert not Alert.objects.exists()
        carrying.carry_on(now=clock.wall() + timedelta(hours=2))
        assert Alert.objects.get().kind == "price_rise_not_undone"
    carrying.carry_on(now=clock.wall())

    assert PriceRiseStep.objects.get().state == "undone"
    assert Alert.objects.get().resolved_at is not None
    assert told(account)[1:] == ["Pro keeps its price"]
    let_pass(account, bought.current_period_end + timedelta(hours=2))
    assert paid(account) == [500, 500]


def test_who_was_charged_the_new_price_is_not_told_that_it_comes_later(moved_unheard, account):
    let_pass(account, moved_unheard.current_period_end + timedelta(hours=2))

    carrying.carry_on(now=clock.wall())

    assert paid(account) == [500, 700]
    assert len(told(account)) == 1
    assert PriceRiseStep.objects.get().state == "moved"


def test_nobody_is_told_of_a_later_day_by_a_sweep_that_saw_the_step_before_the_stop(
    shop, account, alice, raise_to_seven
):
    bought = buy(shop, account, alice, KEY)
    raise_to_seven()
    begin(notice_days=7)
    carrying.carry_on(now=clock.wall())
    let_pass(account, bought.current_period_end + timedelta(hours=2))
    in_hand = PriceRiseStep.objects.select_related("rise", "account").get()

    migrate("--stop", number())
    carrying._take(in_hand, now=clock.now(account))

    assert told(account)[1:] == ["Pro keeps its price"]
    assert PriceRiseStep.objects.get().state == "left_out"


def test_staff_undo_while_stripe_is_away_and_the_worker_gives_the_old_price_back(
    shop, account, alice, raise_to_seven, as_dana, stripe_fails
):
    bought = buy(shop, account, alice, KEY)
    raise_to_seven()
    begin(notice_days=7)
    carrying.carry_on(now=clock.wall())
    let_pass(account, bought.current_period_end - timedelta(days=2))
    carrying.carry_on(now=clock.wall())
    stripe_fails(times=99)

    page = as_dana.post(
        reverse("admin:billing_pricerise_changelist"),
        {"action": "undo", "_selected_action": [PriceRise.objects.get().pk]},
        follow=True,
    )

    assert "nobody has the old price again yet" in text(page)
    stripe_fails.call_off()
    carrying.carry_on(now=clock.wall())
    assert PriceRiseStep.objects.get().state == "undone"
    let_pass(account, bought.current_period_end + timedelta(hours=2))
    assert paid(account) == [500, 500]


def test_a_stop_that_is_killed_while_it_tells_holds_and_the_sweeper_tells_the_others(
    shop, account, alice, bob, raise_to_seven, monkeypatch
):
    other_account = Account.objects.get(person=bob)
    buy(shop, account, alice, KEY)
    buy(shop, other_account, bob, KEY)
    raise_to_seven()
    begin(notice_days=7)
    carrying.carry_on(now=clock.wall())
    say_off, seen = carrying._say_off, []

    def killed_at_the_second(step, *, now):
        seen.append(step)
        if len(seen) == 2:
            raise RuntimeError("the process was killed here")
        say_off(step, now=now)

    with monkeypatch.context() as crash:
        crash.setattr(carrying, "_say_off", killed_at_the_second)
        with pytest.raises(RuntimeError):
            migrate("--stop", number())
    assert PriceRise.objects.get().stopped_at is not None
    assert sorted(len(told(one)) for one in (account, other_account)) == [1, 2]

    carrying.carry_on(now=clock.wall())

    for one in (account, other_account):
        assert told(one)[1:] == ["Pro keeps its price"]
    assert set(PriceRiseStep.objects.values_list("state", flat=True)) == {"left_out"}


# --- Other currencies ---------------------------------------------------------------------------------------


@pytest.fixture
def list_says(simulator, settings, tmp_path):
    """Kaboot's Pro by the month, in dollars and euros as given, pushed."""

    def act(dollars, euros):
        file = tmp_path / f"{dollars}-{euros}.toml"
        words = (Path(house.BILLING_CATALOG_DIR) / "kaboot.toml").read_text()
        words = words.replace(
            "amount = 500\n",
            f"amount = {dollars}\n" + (f"currencies = {{ eur = {euros} }}\n" if euros else ""),
        )
        words = words.replace(
            "amount = 5000\n", "amount = 5000\ncurrencies = { eur = 4500 }\n" if euros else "amount = 5000\n"
        )
        file.write_text(words)
        settings.BILLING_CATALOG = str(file)
        call_command("sync_catalog", verbosity=0)

    return act


@pytest.fixture
def in_euros(list_says, simulator, account, alice):
    """Alice & Co pays 4.50 euros; a dollar customer stands beside."""
    list_says(500, 450)
    intent = checkout.start(
        account=account,
        price=catalog.current().price(KEY),
        quantity=1,
        user=alice,
        now=clock.now(account),
        currency="eur",
    )
    pay(simulator, intent)
    checkout.complete(account=account, session_id=intent.stripe_session_id)
    erin = factories.person(email="erin@example.com")
    buy(simulator, factories.organization(owner=erin, name="Dollar Inc"), erin, KEY)
    bought = Subscription.objects.live().get(account=account)
    assert (bought.currency, bought.next_charge_amount) == ("eur", 450)
    return bought


def test_who_pays_in_euros_is_shown_told_and_charged_in_euros(in_euros, list_says, account):
    list_says(700, 600)

    said = begin(dry_run=True)
    assert "Alice & Co (organization): €4.50 to €6.00 × 1, +€1.50 a period" in said
    assert "Dollar Inc (organization): $5.00 to $7.00 × 1, +$2.00 a period" in said

    begin(notice_days=7)
    carrying.carry_on(now=clock.wall())
    assert told(account)[0].startswith("Pro will cost €6.00 from")
    let_pass(account, in_euros.current_period_end - timedelta(days=2))
    carrying.carry_on(now=clock.wall())
    let_pass(account, in_euros.current_period_end + timedelta(hours=2))
    assert paid(account) == [450, 600]


def test_a_rise_in_euros_alone_moves_who_pays_in_euros(in_euros, list_says, account):
    list_says(500, 600)

    said = begin(dry_run=True)

    assert "€4.50 to €6.00 × 1, +€1.50 a period" in said
    assert (
        "Dollar Inc (organization): $5.00 to $5.00 × 1, +$0.00 a period; stays, pays the same in USD" in said
    )
    assert "1 would move, 1 stay." in said


def test_a_rise_in_dollars_alone_writes_to_nobody_who_pays_in_euros(in_euros, list_says, account):
    list_says(700, 450)

    begin(notice_days=7)
    carrying.carry_on(now=clock.wall())

    assert told(account) == []
    assert PriceRiseStep.objects.get().account.name == "Dollar Inc"


def test_who_pays_in_a_currency_the_new_price_lacks_stays_and_is_listed(in_euros, list_says, account):
    # Such a push is refused now; the price may be from before.
    with pytest.raises(CommandError, match="1 customer pays"):
        list_says(700, None)
    for push in catalog_push.changes(catalog.current()):
        if push.act is not None:
            push.act()

    said = begin(dry_run=True)

    assert "stays, pays in EUR, in which the new price is not sold" in said
    assert "1 would move, 1 stay." in said


def test_euros_that_were_not_pushed_move_nobody(in_euros, list_says, settings):
    file = Path(settings.BILLING_CATALOG)
    unpushed = file.with_name("unpushed.toml")
    unpushed.write_text(file.read_text().replace("eur = 450 ", "eur = 600 "))
    settings.BILLING_CATALOG = str(unpushed)

    with pytest.raises(CommandError, match="Run sync_catalog first"):
        begin()


def test_the_pages_name_what_will_really_be_charged_while_a_rise_is_told(
    shop, account, alice, raise_to_seven
):
    bought = buy(shop, account, alice, KEY)
    at_work = acting_for(account, alice)
    raise_to_seven()
    day = f"{bought.current_period_end:%-d %B %Y}"
    billing, prices = "/billing/", "/pricing/"
    assert f"$5.00 on {day} , to Visa" in text(at_work.get(billing))
    assert f"Your next payment: $5.00 on {day} ." in text(at_work.get(prices))

    begin(notice_days=10)
    carrying.carry_on(now=clock.now(account))

    page = text(at_work.get(billing))
    assert f"$7.00 on {day} , to Visa" in page
    assert f"From the renewal on {day} on, Pro costs $7.00 instead of $5.00." in page
    assert f"Your next payment: $7.00 on {day} ." in text(at_work.get(prices))

    migrate("--stop", str(PriceRise.objects.get().pk))

    page = text(at_work.get(billing))
    assert f"$5.00 on {day} , to Visa" in page
    assert "From the renewal" not in page
    assert f"Your next payment: $5.00 on {day} ." in text(at_work.get(prices))


def test_a_rise_of_a_later_renewal_leaves_the_next_payment_as_it_is(shop, account, alice, raise_to_seven):
    bought = buy(shop, account, alice, KEY)
    raise_to_seven()
    begin(notice_days=40)
    carrying.carry_on(now=clock.now(account))

    page = text(acting_for(account, alice).get("/billing/"))

    assert f"$5.00 on {bought.current_period_end:%-d %B %Y} , to Visa" in page
    later = PriceRiseStep.objects.get().applies_at
    assert f"From the renewal on {later:%-d %B %Y} on, Pro costs $7.00 instead of $5.00." in page


# --- A worker that was away ---------------------------------------------------------------------------------


def announced(account, kind):
    return Notification.objects.filter(account=account, kind=kind)


def test_the_notice_names_what_is_charged_also_when_the_worker_is_late_with_the_rise(
    shop, account, alice, raise_to_seven
):
    bought = buy(shop, account, alice, KEY)
    raise_to_seven()
    begin(notice_days=7)
    carrying.carry_on(now=clock.wall())
    let_pass(account, bought.current_period_end - timedelta(days=2))
    reminders.sweep(now=clock.wall())

    notice = announced(account, "upcoming_charge").get()
    assert notice.subject == f"$7.00 for Pro will be charged on {bought.current_period_end:%-d %B %Y}"
    carrying.carry_on(now=clock.wall())
    let_pass(account, bought.current_period_end + timedelta(hours=2))

    assert paid(account) == [500, 700]


def test_a_rise_that_missed_its_renewal_is_told_anew_with_the_day_on_which_it_comes(
    shop, account, alice, raise_to_seven
):
    bought = buy(shop, account, alice, KEY)
    raise_to_seven()
    begin(notice_days=7)
    carrying.carry_on(now=clock.wall())
    let_pass(account, bought.current_period_end + timedelta(hours=2))
    carrying.carry_on(now=clock.wall())

    later = Subscription.objects.live().get().current_period_end
    assert paid(account) == [500, 500]
    first, second = announced(account, "price_rise").order_by("pk")
    assert first.overtaken_at is not None
    assert second.subject == f"Pro will cost $7.00 from {later:%-d %B %Y}"
    let_pass(account, later - timedelta(days=2))
    carrying.carry_on(now=clock.wall())
    let_pass(account, later + timedelta(hours=2))
    assert paid(account) == [500, 500, 700]


@pytest.fixture
def to_be_monthly(shop, account, alice, settings, tmp_path):
    """A yearly plan to become a monthly one on the day from which it was told to cost more."""
    bought = buy(shop, account, alice, "kaboot_pro_year")
    assert change(acting_for(account, alice), price=KEY).state == "scheduled"
    file = tmp_path / "raised.toml"
    file.write_text(Path(settings.BILLING_CATALOG).read_text().replace("amount = 5000\n", "amount = 7000\n"))
    settings.BILLING_CATALOG = str(file)
    call_command("sync_catalog", verbosity=0)
    let_pass(account, bought.current_period_end - timedelta(days=60))
    migrate("--from", "kaboot_pro_year", "--to", "kaboot_pro_year", "--reason", "costs rose")
    carrying.carry_on(now=clock.wall())
    let_pass(account, bought.current_period_end - timedelta(days=29))
    carrying.carry_on(now=clock.wall())
    return bought


def test_with_another_plan_planned_for_that_day_the_notice_names_what_that_costs(to_be_monthly, account):
    bought = to_be_monthly
    assert not announced(account, "yearly_renewal").exists()  # it is to become a monthly one
    let_pass(account, bought.current_period_end - timedelta(days=2))
    assert announced(account, "upcoming_charge").get().context["amount"] == 500
    let_pass(account, bought.current_period_end + timedelta(hours=2))
    assert paid(account) == [5000, 500]


def test_a_rise_called_off_leaves_a_notice_alone_that_named_another_plan(to_be_monthly, account):
    let_pass(account, to_be_monthly.current_period_end - timedelta(days=2))

    migrate("--stop", number())

    notice = announced(account, "upcoming_charge").get()
    assert (notice.context["amount"], notice.overtaken_at) == (500, None)
    assert announced(account, "price_rise_off").exists()


def test_a_rise_told_or_called_off_after_the_notice_says_that_the_notice_is_no_longer_so(
    shop, account, alice, raise_to_seven
):
    bought = buy(shop, account, alice, KEY)
    raise_to_seven()
    begin(notice_days=7)
    carrying.carry_on(now=clock.wall())
    let_pass(account, bought.current_period_end - timedelta(days=2))
    carrying.carry_on(now=clock.wall())
    assert announced(account, "upcoming_charge").get().overtaken_at is None

    migrate("--undo", str(PriceRise.objects.get().pk))

    assert announced(account, "upcoming_charge").get().overtaken_at is not None
    assert announced(account, "price_rise").get().overtaken_at is not None
    assert "would cost $7.00. That is off" in announced(account, "price_rise_off").get().text
    let_pass(account, bought.current_period_end + timedelta(hours=2))
    assert paid(account) == [500, 500]
