"""From the outbox to Stripe's meters: what is paid by the unit arrives there once, under the time it happened at.

`freezing` makes deliveries of what waits, `sending` brings them to Stripe, `closing` before an invoice is made of it,
`reconciliation` compares afterwards. Others call `deliver` and `flush`.
"""

from usage.meters.sending import deliver, flush

__all__ = ["deliver", "flush"]
