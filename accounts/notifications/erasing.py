"""What was told is full of names and sums: it goes with the account, and with the person."""

from __future__ import annotations

from django.db.models import Q

from accounts.models import Account, Delivery, Destination, InboxEntry, MailPreference, Notification, User


def of_account(account: Account) -> None:
    """Everything told about it, what is still on its way, and where else it was told. In a transaction."""
    Destination.objects.filter(account=account).delete()
    Notification.objects.filter(account=account).delete()


def of_person(user: User) -> None:
    """The person's list, what concerned them alone, letters to them, and what they wanted by mail. In a transaction."""
    alone = Q(account=None) | Q(to=Notification.Audience.PERSON)
    Notification.objects.filter(alone, entries__user=user).delete()
    InboxEntry.objects.filter(user=user).delete()
    Delivery.objects.filter(Q(user=user) | Q(address__iexact=user.email)).delete()
    MailPreference.objects.filter(user=user).delete()
