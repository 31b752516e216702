"""Archived prices that are active for a moment, because acts under way name them at Stripe."""

from __future__ import annotations

from django.db import models


class PriceUse(models.Model):
    """One act that needs an archived price to be active; or, as `is_turn`, whoever opens or archives it just now."""

    stripe_price_id = models.CharField(max_length=64, db_index=True)
    is_turn = models.BooleanField(default=False)
    # Whoever has not come back by then was killed.
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["stripe_price_id"], condition=models.Q(is_turn=True), name="one_turn_per_price"
            ),
        ]

    def __str__(self) -> str:
        return f"{'turn' if self.is_turn else 'use'} of {self.stripe_price_id}"
