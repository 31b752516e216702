"""The people of the embedded demo: one organization with every role, and one of the staff."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from accounts import members, people
from accounts.models import Account, Member

PASSWORD = "tallyhouse"  # noqa: S105 - the demo's log-ins are printed on its sign-in page
ORGANIZATION = "Okafor Labs"
OWNER = ("ada@example.com", "Ada Okafor")
OTHERS = [
    ("ben@example.com", "Ben Castillo", Member.Role.ADMIN),
    ("mia@example.com", "Mia Lindqvist", Member.Role.MEMBER),
    ("gil@example.com", "Gil Haddad", Member.Role.GUEST),
]
STAFF = ("dana@example.com", "Dana Reyes")


def seed(*, now: datetime) -> Account:
    """Make whoever is missing; safe to run again. Returns the organization."""
    with transaction.atomic():
        email, name = OWNER
        owner = people.ensure(email=email, name=name, password=PASSWORD, now=now)
        organization = (
            Account.objects.of(owner).filter(kind=Account.Kind.ORGANIZATION, name=ORGANIZATION).first()
        )
        if organization is None:
            organization = members.open_organization(owner=owner, name=ORGANIZATION, now=now)
        for email, name, role in OTHERS:
            user = people.ensure(email=email, name=name, password=PASSWORD, now=now)
            Member.objects.get_or_create(
                account=organization, user=user, defaults={"role": role, "joined_at": now}
            )
        email, name = STAFF
        people.ensure(email=email, name=name, password=PASSWORD, now=now, is_staff=True)
    return organization
