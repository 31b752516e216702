"""The room WHAT THEY BOUGHT."""

from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"
    verbose_name = "Billing"

    def ready(self) -> None:
        from django.db.models.signals import post_delete, post_save

        from accounts.models import Member
        from accounts.notifications.signals import given_up
        from billing import (
            alerts,
            checks,  # noqa: F401, registers itself
        )
        from billing.changes import membership
        from billing.stripe import djstripe_compat

        djstripe_compat.apply()
        given_up.connect(alerts.tell_of_undelivered)
        post_save.connect(membership.member_changed, sender=Member)
        post_delete.connect(membership.member_changed, sender=Member)
