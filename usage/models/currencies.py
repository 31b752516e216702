"""What an account's units were priced in before it began to pay in another currency."""

from __future__ import annotations

from django.db import models

from accounts.models import Account


class CurrencyBefore(models.Model):
    """Acts up to `last_record_id`, and after those of the row before, cost in `currency`. Most accounts have none."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="+")
    last_record_id = models.BigIntegerField()
    currency = models.CharField(max_length=3)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "last_record_id"], name="one_currency_before_per_account_and_act"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.account_id} in {self.currency} until {self.last_record_id}"
