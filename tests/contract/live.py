"""`./run test-stripe-live`: the scenarios against a real Stripe account in test mode, or a sentence why not."""

from __future__ import annotations

import os
import re

import stripe

from tests.contract.counterpart import Address

# The tests' settings replace STRIPE_… by values of their own, so the account travels to pytest under other names.
AGAINST, WITH_KEY = "CONTRACT_AGAINST", "CONTRACT_KEY"
STRIPE = "https://api.stripe.com"
NO_KEY = (
    "STRIPE_SECRET_KEY is not set in the environment. Set it to a key of Stripe's test mode (sk_test_…, from "
    "dashboard.stripe.com/test/apikeys) to play the scenarios against Stripe itself."
)


class WrongKey(Exception):
    """The key given cannot be used for this; the text says why and what to do."""


def chosen() -> Address | None:
    """The account the scenarios are to be played against; None: the simulator."""
    base = os.environ.get(AGAINST)
    return Address(os.environ[WITH_KEY], base, is_live=True) if base else None


def environment(address: Address) -> dict[str, str]:
    """What tells `chosen`, in another process, about this account."""
    return {AGAINST: address.base, WITH_KEY: address.key}


def given() -> Address:
    """The account behind STRIPE_SECRET_KEY. Raises `WrongKey` for a key that is none of test mode.

    STRIPE_API_BASE names another stand-in to be held to the same contract.
    """
    key = os.environ.get("STRIPE_SECRET_KEY", "").strip()
    if key.startswith(("sk_live_", "rk_live_")):
        raise WrongKey(
            "Refused: STRIPE_SECRET_KEY is a live key, and the scenarios make customers, charge them and delete "
            "them. Use a key of test mode (sk_test_…)."
        )
    if not re.fullmatch(r"(sk|rk)_test_[A-Za-z0-9]{10,}", key):
        raise WrongKey("STRIPE_SECRET_KEY is no key of Stripe's test mode: those begin with sk_test_.")
    base = os.environ.get("STRIPE_API_BASE", "").strip().rstrip("/") or STRIPE
    return Address(key, base, is_live=True)


def knock(address: Address) -> str:
    """Whose account it is, in words. Raises `WrongKey` when Stripe does not accept the key or cannot be reached."""
    client = stripe.StripeClient(
        address.key, base_addresses={"api": address.base}, http_client=stripe.RequestsClient(timeout=20)
    )
    try:
        client.v1.customers.list({"limit": 1})
    except stripe.AuthenticationError as refused:
        raise WrongKey(
            f"{address.base} does not accept STRIPE_SECRET_KEY: {refused.user_message}"
        ) from refused
    except stripe.PermissionError as refused:
        raise WrongKey(
            f"The key in STRIPE_SECRET_KEY may not do enough: {refused.user_message} "
            "Use the account's secret key of test mode."
        ) from refused
    except stripe.APIConnectionError as lost:
        raise WrongKey(f"{address.base} cannot be reached from here. Nothing was tried.") from lost
    return f"{address.base} with the key …{address.key[-4:]}"
