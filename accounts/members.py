"""Who belongs to an account: opening, inviting, joining, changing roles, leaving. Never how many fit."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from allauth.account.models import EmailAddress
from django.db import IntegrityError, transaction

from accounts import telling
from accounts.models import Account, Invitation, Member, User

INVITATION_DAYS = 14
INVITATIONS_PER_HOUR = 30

# From least to most. A person gives and takes only roles up to their own.
RANK = {Member.Role.GUEST: 0, Member.Role.MEMBER: 1, Member.Role.ADMIN: 2, Member.Role.OWNER: 3}


class NotAllowed(Exception):
    """This person may not do this in this account."""


class AlreadyMember(Exception):
    """The address belongs to somebody who is in the account."""


class AlreadyInvited(Exception):
    """An open invitation for this address exists; resend or revoke it."""


class TooManyInvitations(Exception):
    """More letters in an hour than one account may send: nobody's mailbox is ours to fill."""


class InvitationClosed(Exception):
    """Used, withdrawn, replaced or too old: one answer for all, so that an old link tells nothing more."""


class WrongAddress(Exception):
    """The invitation is bound to another e-mail address than any this person has verified."""


class LastOwner(Exception):
    """An account keeps at least one owner."""


class PersonalAccount(Exception):
    """A personal account has exactly one member."""


def open_personal_account(*, user: User, now: datetime) -> Account:
    """The person's own account, opened on the first call and returned by every later one."""
    with transaction.atomic():
        account, _ = Account.objects.get_or_create(
            person=user,
            defaults={
                "kind": Account.Kind.PERSONAL,
                "name": (user.name or user.email.partition("@")[0])[:120],
                "created_at": now,
            },
        )
        Member.objects.get_or_create(
            account=account, user=user, defaults={"role": Member.Role.OWNER, "joined_at": now}
        )
    return account


def open_organization(*, owner: User, name: str, now: datetime) -> Account:
    """A new organization whose only member is its owner."""
    with transaction.atomic():
        account = Account.objects.create(kind=Account.Kind.ORGANIZATION, name=name, created_at=now)
        Member.objects.create(account=account, user=owner, role=Member.Role.OWNER, joined_at=now)
    return account


def invite(*, account: Account, email: str, role: str, by: Member, now: datetime) -> tuple[Invitation, str]:
    """Let one address join once, within 14 days. Returns the invitation and the token for the letter.

    Only the token's hash is kept. An invitation that ran out is closed and replaced.
    Raises PersonalAccount, NotAllowed (role above the inviter's own, or neither owner nor admin),
    AlreadyMember, AlreadyInvited, TooManyInvitations.
    """
    email = email.strip().lower()
    with _locked(account):
        if account.kind == Account.Kind.PERSONAL:
            raise PersonalAccount
        _check_may_manage(account=account, by=by, role=role)
        if account.members.filter(user__email__iexact=email).exists():
            raise AlreadyMember
        account.invitations.filter(
            email__iexact=email, accepted_at=None, revoked_at=None, expires_at__lte=now
        ).update(revoked_at=now)
        return _write(account=account, email=email, role=role, by=by.user, now=now)


def resend(*, invitation: Invitation, by: Member, now: datetime) -> tuple[Invitation, str]:
    """A new letter, token and term; the old link stops working.

    Raises InvitationClosed, NotAllowed, TooManyInvitations.
    """
    with _locked(invitation.account):
        _check_may_manage(account=invitation.account, by=by, role=invitation.role)
        closed = Invitation.objects.filter(pk=invitation.pk, accepted_at=None, revoked_at=None)
        if not closed.update(revoked_at=now):
            raise InvitationClosed
        return _write(
            account=invitation.account, email=invitation.email, role=invitation.role, by=by.user, now=now
        )


def revoke_invitation(*, invitation: Invitation, by: Member, now: datetime) -> None:
    """The link stops working. Raises NotAllowed, InvitationClosed (it was used or withdrawn before)."""
    with _locked(invitation.account):
        _check_may_manage(account=invitation.account, by=by, role=invitation.role)
        if not Invitation.objects.filter(pk=invitation.pk, accepted_at=None, revoked_at=None).update(
            revoked_at=now
        ):
            raise InvitationClosed


def find_invitation(*, token: str, now: datetime) -> Invitation:
    """The open invitation a link stands for. Raises InvitationClosed."""
    invitation = (
        Invitation.objects.select_related("account", "invited_by").filter(token_digest=_digest(token)).first()
    )
    if invitation is None or not invitation.is_open(now):
        raise InvitationClosed
    return invitation


def accept(*, token: str, user: User, now: datetime) -> Member:
    """Join the account. The invitation's address must be among the person's verified ones.

    Raises InvitationClosed, WrongAddress. Who is a member already keeps the role they have.
    """
    account = find_invitation(token=token, now=now).account
    with _locked(account):
        invitation = find_invitation(token=token, now=now)
        if invitation.email.lower() not in _verified_addresses(user):
            raise WrongAddress
        Invitation.objects.filter(pk=invitation.pk).update(accepted_at=now)
        member, is_new = Member.objects.get_or_create(
            account=account, user=user, defaults={"role": invitation.role, "joined_at": now}
        )
        if is_new:
            telling.joined(member, now=now)
    return member


def change_role(*, member: Member, role: str, by: Member, now: datetime) -> Member:
    """Raises NotAllowed (either role above one's own), LastOwner, PersonalAccount."""
    with _locked(member.account):
        member = Member.objects.select_related("account", "user").get(pk=member.pk)
        if member.account.kind == Account.Kind.PERSONAL:
            raise PersonalAccount
        _check_may_manage(account=member.account, by=by, role=member.role)
        _check_may_manage(account=member.account, by=by, role=role)
        if role != Member.Role.OWNER:
            _check_not_last_owner(member)
        if member.role != role:
            member.role = role
            member.save(update_fields=["role"])
            telling.role_changed(member, by=by, now=now)
    return member


def hand_over(*, member: Member, by: Member, now: datetime) -> Member:
    """Make `member` an owner in place of `by`, who stays as an admin: both in one commit, never none.

    Raises NotAllowed (`by` is no owner, or `member` is `by`), PersonalAccount.
    """
    with _locked(member.account):
        heir = Member.objects.select_related("account", "user").get(pk=member.pk)
        owner = heir.account.members.select_related("user").filter(pk=by.pk, role=Member.Role.OWNER).first()
        if heir.account.kind == Account.Kind.PERSONAL:
            raise PersonalAccount
        if owner is None or owner.pk == heir.pk:
            raise NotAllowed
        for somebody, role in ((heir, Member.Role.OWNER), (owner, Member.Role.ADMIN)):
            somebody.role = role
            somebody.save(update_fields=["role"])
            telling.role_changed(somebody, by=by, now=now)
    return heir


def remove(*, member: Member, by: Member, now: datetime) -> None:
    """Take somebody out, or leave. Raises NotAllowed, LastOwner, PersonalAccount."""
    with _locked(member.account):
        member = Member.objects.select_related("account", "user").get(pk=member.pk)
        if member.account.kind == Account.Kind.PERSONAL:
            raise PersonalAccount
        if member.user_id != by.user_id:
            _check_may_manage(account=member.account, by=by, role=member.role)
        _check_not_last_owner(member)
        telling.gone(member, by=by, now=now)
        member.delete()


def conferrable(member: Member) -> list[Member.Role]:
    """The roles this member may give: none above their own, and none at all for members and guests."""
    if not member.may_bill:
        return []
    return [role for role, rank in RANK.items() if rank <= RANK[Member.Role(member.role)]]


def names_of(account: Account, *, roles: Iterable[str]) -> list[str]:
    """The first three with one of these roles, by name: whom a page tells somebody to ask."""
    found = account.members.filter(role__in=list(roles)).select_related("user").order_by("joined_at")[:3]
    return [member.user.name or member.user.email for member in found]


@contextmanager
def _locked(account: Account) -> Iterator[None]:
    """One change of an account's people at a time: two owners who leave at once cannot both go."""
    with transaction.atomic():
        Account.objects.select_for_update().get(pk=account.pk)
        yield


def _check_may_manage(*, account: Account, by: Member, role: str) -> None:
    """Owners and admins only, over roles up to their own: as it is now, not when the page was drawn."""
    current = account.members.filter(pk=by.pk).first()
    if current is None or role not in conferrable(current):
        raise NotAllowed


def _check_not_last_owner(member: Member) -> None:
    if (
        member.role == Member.Role.OWNER
        and member.account.members.filter(role=Member.Role.OWNER).count() == 1
    ):
        raise LastOwner


def _write(*, account: Account, email: str, role: str, by: User, now: datetime) -> tuple[Invitation, str]:
    if account.invitations.filter(created_at__gt=now - timedelta(hours=1)).count() >= INVITATIONS_PER_HOUR:
        raise TooManyInvitations
    token = secrets.token_urlsafe(32)
    try:
        with transaction.atomic():
            invitation = Invitation.objects.create(
                account=account,
                email=email,
                role=role,
                token_digest=_digest(token),
                invited_by=by,
                created_at=now,
                expires_at=now + timedelta(days=INVITATION_DAYS),
            )
    except IntegrityError as error:
        raise AlreadyInvited from error
    telling.invited(invitation, now=now)
    return invitation, token


def _verified_addresses(user: User) -> set[str]:
    return {
        address.lower()
        for address in EmailAddress.objects.filter(user=user, verified=True).values_list("email", flat=True)
    }


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
