"""What billing tells the rooms above it, which it may not know: they connect in their app's `ready`."""

from __future__ import annotations

from django.dispatch import Signal

# Something is about to change or end at Stripe that may bill what was used so far. Sent under the account's lease
# (without it before a mere preview) and outside any transaction, with `account` and `now` (the account's time): bring
# to Stripe what it does not know yet.
# A receiver that cannot raises the gateway's errors, and then nothing is changed.
subscription_about_to_change = Signal()

# Stripe says that an invoice of `account` is about to be made, or was made as a draft: for an hour it takes the usage
# that comes in. Sent outside any transaction and without the lease; receivers' failures are logged and harm nothing.
invoice_about_to_close = Signal()

# Stripe could not count meter events it had taken. Sent with `errors` (billing.stripe.meter_errors.MeterError) and
# `now` (wall time), outside any transaction. A receiver answers how many of them it could place.
meter_errors_reported = Signal()

# What was owed (billing.models.Effect) could not be carried out, however often it was tried. Sent with `effect`,
# `explanation` and `now` (wall time).
effect_given_up = Signal()

# An account is closed. Sent with `account`, under its lease and inside the transaction that closes it, after its name
# is gone: what a receiver raises leaves the account open.
account_closed = Signal()
