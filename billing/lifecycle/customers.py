"""An account's customer at Stripe: made at most once, whoever clicks how often and whatever crashes in between."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings

from accounts.models import Account
from billing import clock, effects
from billing.lifecycle import test_clocks
from billing.models import Customer, Effect
from billing.stripe import gateway

if TYPE_CHECKING:
    from billing.lifecycle.lease import Held

# The metadata by which we find our own objects at Stripe; never an e-mail address, which anyone may type.
ACCOUNT_KEY = "tallyhouse_account"
# The name the customer wants on invoices, where it is not the account's.
INVOICE_NAME_KEY = "tallyhouse_invoice_name"
# Lists are complete at once and search is not (up to a minute late), so the newest customers are looked
# through too.
NEWEST = 100
# Stripe prunes idempotency keys after at least 24 hours; one committed less than this ago needs no look.
KEY_IS_REMEMBERED = timedelta(hours=23)


def row(account: Account) -> Customer:
    """Our row of the account, made when there is none. No call to Stripe."""
    customer, _ = Customer.objects.get_or_create(
        account=account,
        defaults={"creation_key": _new_creation_key(account), "created_at": clock.wall()},
    )
    return customer


def ensure(*, account: Account, held: Held) -> Customer:
    """The account's row with a customer at Stripe behind it. Raises the gateway's errors and LeaseLost.

    Three things keep it at one: the lease, the idempotency key committed with the row before Stripe is asked,
    and a look by metadata before a key that Stripe may have forgotten (after 24 hours) is used.
    """
    customer = held.customer
    if not customer.stripe_customer_id:
        _create(account, held)
        customer = held.customer
    return customer


def introduce(account: Account) -> None:
    """Tell Stripe the account's present name and address. Absolute values, so saying it twice is harmless.

    A name that was written for the invoices stays.
    """
    customer = row(account)
    assert customer.stripe_customer_id
    path = f"/v1/customers/{customer.stripe_customer_id}"
    written = (gateway.get(path).get("metadata") or {}).get(INVOICE_NAME_KEY)
    gateway.post(
        path,
        {"name": written or account.name, "email": account.email},
        # Not derived from the values: A, B and A again within a day must be three updates, not two and a
        # replay.
        idempotency_key=f"introduce:{customer.stripe_customer_id}:{uuid.uuid4().hex}",
    )


def introduce_later(account: Account, *, now: datetime) -> None:
    """Owe Stripe the account's new name and address. Call it in the transaction that changes them.

    They are told by a worker, again and again while Stripe does not answer, and as they are then. An account without
    a customer owes nothing: it is introduced when it gets one.
    """
    if Customer.objects.filter(account=account).exclude(stripe_customer_id=None).exists():
        effects.once(
            key=f"introduction:{account.pk}:{uuid.uuid4().hex}", kind="introduction", account=account, now=now
        )


def carry_introduction(effect: Effect) -> None:
    """What the outbox calls."""
    assert effect.account is not None
    # Deleted at Stripe meanwhile, nobody is left to be told.
    if row(effect.account).stripe_customer_id:
        introduce(effect.account)


def forget_deleted(customer: Customer) -> None:
    """The customer was deleted at Stripe: keep its id for late events, make room for a new one. Saves the row.

    The creation key changes too: the old one would answer with the deleted customer for a day.
    """
    gone = customer.stripe_customer_id
    if gone and gone not in customer.former_stripe_ids:
        customer.former_stripe_ids = [*customer.former_stripe_ids, gone]
    customer.stripe_customer_id = None
    customer.creation_key = _new_creation_key(customer.account)
    customer.card_brand = customer.card_last4 = ""
    customer.card_exp_month = customer.card_exp_year = None
    customer.save(
        update_fields=[
            *("former_stripe_ids", "stripe_customer_id", "creation_key"),
            *("card_brand", "card_last4", "card_exp_month", "card_exp_year"),
        ]
    )


def _create(account: Account, held: Held) -> None:
    test_clocks.ensure(account=account, held=held)
    customer = held.customer
    # Nothing that may change between two attempts is sent under the key: name and address follow in
    # `introduce`.
    params: dict[str, Any] = {"metadata": {ACCOUNT_KEY: str(account.pk)}}
    if customer.test_clock_id:
        params["test_clock"] = customer.test_clock_id
    remembered = clock.wall() < customer.created_at + KEY_IS_REMEMBERED
    found = None if remembered else _find(customer)
    try:
        made = found or gateway.post("/v1/customers", params, idempotency_key=customer.creation_key)
    except gateway.StripeUnavailable as error:
        if error.was_replayed and _find(customer) is None:
            # Stripe keeps giving its saved failure for this key, and nothing was made under it.
            with held.saving() as locked:
                locked.creation_key = _new_creation_key(account)
                locked.save(update_fields=["creation_key"])
        raise
    with held.saving() as locked:
        locked.stripe_customer_id = made["id"]
        locked.livemode = made["livemode"]
        locked.save(update_fields=["stripe_customer_id", "livemode"])
    introduce(account)


def _find(customer: Customer) -> dict[str, Any] | None:
    """The customer an earlier attempt made, whose answer never reached a commit."""
    if not settings.STRIPE_LIVE_MODE and customer.test_clock_id:
        # Customers on test clocks appear in no other list (https://docs.stripe.com/api/customers/list).
        candidates = list(gateway.pages("/v1/customers", {"test_clock": customer.test_clock_id}))
    else:
        query = f"metadata['{ACCOUNT_KEY}']:'{customer.account_id}'"
        candidates = gateway.get("/v1/customers/search", {"query": query})["data"]
        candidates += gateway.get("/v1/customers", {"limit": NEWEST})["data"]
    for candidate in candidates:
        is_ours = (candidate.get("metadata") or {}).get(ACCOUNT_KEY) == str(customer.account_id)
        if is_ours and candidate["id"] not in customer.former_stripe_ids and not candidate.get("deleted"):
            return dict(candidate)
    return None


def _new_creation_key(account: Account) -> str:
    return f"customer:{account.pk}:{uuid.uuid4().hex[:12]}"
