"""Making a person without the sign-up page: for staff, commands and the demo."""

from __future__ import annotations

from datetime import datetime

from allauth.account.models import EmailAddress
from django.db import transaction

from accounts import members
from accounts.models import User


def ensure(*, email: str, name: str, password: str | None, now: datetime, is_staff: bool = False) -> User:
    """The person with this address, made if missing, their address verified and their personal account open.

    An existing person keeps their name, password and rights.
    """
    with transaction.atomic():
        user = User.objects.filter(email__iexact=email).first()
        if user is None:
            user = User.objects.create_user(
                email, password, name=name, is_staff=is_staff, is_superuser=is_staff, date_joined=now
            )
        EmailAddress.objects.get_or_create(
            user=user, email=user.email.lower(), defaults={"verified": True, "primary": True}
        )
        members.open_personal_account(user=user, now=now)
    return user
