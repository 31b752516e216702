"""Closing an account for good: nobody is in it, nothing personal is left, the books stay."""

from __future__ import annotations

from datetime import datetime

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.db import transaction

from accounts.models import Account, ApiKey, Invitation, Member, User
from accounts.notifications import erasing

# What stands in the place of a name; reserved, so no mail can ever reach it (https://www.rfc-editor.org/rfc/rfc2606).
NOBODY = "closed-{number}@closed.invalid"
CLOSED_NAME = "Closed account"


class NotOwner(Exception):
    """Only an owner closes an account."""


class StillNeeded(Exception):
    """The person is the only owner of organizations, which would be left without one. `accounts`: their names."""

    def __init__(self, accounts: list[str]) -> None:
        super().__init__(", ".join(accounts))
        self.accounts = accounts


def check(*, account: Account, by: User) -> None:
    """Whether `by` may close `account` now. Raises NotOwner, StillNeeded."""
    if not account.members.filter(user=by, role=Member.Role.OWNER).exists():
        raise NotOwner
    left_alone = without_owner(account=account, by=by)
    if left_alone:
        raise StillNeeded(left_alone)


def without_owner(*, account: Account, by: User) -> list[str]:
    """The organizations that would have no owner left if `by` closed `account`, by name."""
    if account.kind != Account.Kind.PERSONAL:
        return []
    owned = Account.objects.filter(
        members__user=by, members__role=Member.Role.OWNER, kind=Account.Kind.ORGANIZATION
    )
    return [
        one.name
        for one in owned.order_by("name")
        if not one.members.filter(role=Member.Role.OWNER).exclude(user=by).exists()
    ]


def erase(*, account: Account, by: User, now: datetime) -> None:
    """Take everything personal out of `account`, in one transaction; with a personal account the person goes too.

    Its ledger and payments stay, under an id that says nothing: books must be kept
    (for example https://www.gesetze-im-internet.de/ao_1977/__147.html). Erasing twice changes nothing.
    Raises NotOwner, StillNeeded.
    """
    with transaction.atomic():
        Account.objects.select_for_update().get(pk=account.pk)
        if Account.objects.filter(pk=account.pk, closed_at__isnull=False).exists():
            return
        check(account=account, by=by)
        ApiKey.objects.filter(account=account, revoked_at=None).update(revoked_at=now)
        ApiKey.objects.filter(account=account).update(name="", created_by=None)
        Invitation.objects.filter(account=account).delete()
        Member.objects.filter(account=account).delete()
        erasing.of_account(account)
        Account.objects.filter(pk=account.pk).update(name=CLOSED_NAME, billing_email="", closed_at=now)
        if account.kind == Account.Kind.PERSONAL:
            _erase_person(by)


def _erase_person(user: User) -> None:
    erasing.of_person(user)
    Member.objects.filter(user=user).delete()
    Invitation.objects.filter(email__iexact=user.email).delete()
    EmailAddress.objects.filter(user=user).delete()
    Authenticator.objects.filter(user=user).delete()
    UserSession.objects.filter(user=user).delete()
    user.email, user.name = NOBODY.format(number=user.pk), ""
    user.first_name = user.last_name = ""
    user.last_account = None
    user.is_active = user.is_staff = user.is_superuser = False
    # Every session of this person carries a hash of the password and is void with it.
    user.set_unusable_password()
    user.save()
