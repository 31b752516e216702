"""What billing tells the rooms above it, which it may not know: they connect in their app's `ready`."""

from __future__ import annotations

from django.dispatch import Signal

# Something is about to change or end at Stripe that may bill what was used so far. Sent under the account's lease and
# outside any transaction, with `account` and `now` (the account's time): bring to Stripe what it does not know yet.
# A receiver that cannot raises the gateway's errors, and then nothing is changed.
subscription_about_to_change = Signal()
