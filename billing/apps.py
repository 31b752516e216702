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
            effects,
        )
        from billing.changes import membership, seating
        from billing.lifecycle import customers
        from billing.signals import effect_given_up
        from billing.stripe import djstripe_compat

        djstripe_compat.apply()
        effects.carry("introduction", by=customers.carry_introduction)
        effects.carry("seats_follow", by=seating.carry)
        given_up.connect(alerts.tell_of_undelivered)
        effect_given_up.connect(alerts.tell_of_given_up)
        post_save.connect(membership.member_changed, sender=Member)
        post_delete.connect(membership.member_changed, sender=Member)
