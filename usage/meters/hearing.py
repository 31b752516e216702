"""What billing tells (billing/signals.py) and the meters act on; a signal is a door, so the clock is looked at here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from accounts.models import Account
from billing import clock, signals
from billing.stripe.meter_errors import MeterError
from usage import denominations
from usage.meters import closing, rejections, writing_off


def connect() -> None:
    """Listen. Called once, when the app is ready."""
    signals.subscription_about_to_change.connect(_before_change)
    signals.invoice_about_to_close.connect(_before_invoice)
    signals.meter_errors_reported.connect(_errors_reported)
    signals.account_closed.connect(_closed)
    signals.currency_changed.connect(_pays_in_another)


def _before_change(sender: Any, *, account: Account, **_: Any) -> None:
    closing.before_change(account, now=clock.wall())


def _before_invoice(sender: Any, *, account: Account, **_: Any) -> None:
    closing.before_invoice(account, now=clock.wall())


def _errors_reported(sender: Any, *, errors: Iterable[MeterError], **_: Any) -> int:
    return rejections.apply(errors, now=clock.wall())


def _closed(sender: Any, *, account: Account, **_: Any) -> None:
    writing_off.of_account(account, now=clock.wall())


def _pays_in_another(sender: Any, *, account: Account, before: str, **_: Any) -> None:
    denominations.remember(account, before=before)
