"""Keys for machines: shown once, found by their text, refused when they should be."""

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from accounts import api_keys
from accounts.models import ApiKey

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def issue_by_command(*arguments):
    out = StringIO()
    call_command("issue_api_key", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue().strip()


def test_a_service_key_is_printed_once_and_found_by_its_text(db):
    text = issue_by_command("--service", "--name", "Kaboot backend")

    assert text.startswith("th_svc_")
    key = api_keys.find(key_text=text, now=datetime.now(UTC))
    assert (key.name, key.kind, key.account) == ("Kaboot backend", "service", None)
    assert text not in str(ApiKey.objects.values().get())


def test_an_account_key_acts_for_its_account(account):
    text = issue_by_command("--account", str(account.pk), "--name", "CI")

    assert text.startswith("th_acct_")
    assert api_keys.find(key_text=text, now=datetime.now(UTC)).account == account


def test_a_key_for_nobody_is_refused_with_a_sentence(db):
    for wrong in ("nonsense", "00000000-0000-0000-0000-000000000000"):
        with pytest.raises(CommandError, match="There is no account"):
            issue_by_command("--account", wrong, "--name", "CI")
    with pytest.raises(ValueError, match="belongs to an account"):
        api_keys.issue(kind="account", name="x", now=NOW)


def test_a_mistyped_key_is_refused_without_asking_the_database(account, django_assert_num_queries):
    _, text = api_keys.issue(kind="account", account=account, name="CI", now=NOW)
    swapped = text[:-1] + ("0" if text[-1] != "0" else "1")

    with django_assert_num_queries(0):
        for wrong in (
            "",
            "th_acct_",
            text[:-1],
            text + "0",
            swapped,
            text.upper(),
            "é" * 44,
            "th_svc_" + text[8:],
        ):
            assert api_keys.find(key_text=wrong, now=NOW) is None


def test_a_revoked_or_expired_key_is_refused_at_once(account):
    key, text = api_keys.issue(kind="account", account=account, name="CI", now=NOW)
    _, short = api_keys.issue(
        kind="account", account=account, name="Short", now=NOW, expires_at=NOW + timedelta(days=1)
    )
    assert api_keys.find(key_text=short, now=NOW + timedelta(hours=23)) is not None
    assert api_keys.find(key_text=short, now=NOW + timedelta(days=1)) is None

    api_keys.revoke(key=key, now=NOW)

    assert api_keys.find(key_text=text, now=NOW) is None


def test_a_well_formed_key_that_was_never_issued_finds_nothing(account):
    _, text = api_keys.issue(kind="account", account=account, name="CI", now=NOW)
    ApiKey.objects.all().delete()

    assert api_keys.looks_like_a_key(text)
    assert api_keys.find(key_text=text, now=NOW) is None
