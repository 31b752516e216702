"""What people are told about their members, their keys and how they sign in: facts; the words are templates."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from allauth.account import signals as account_signals
from allauth.account.models import EmailAddress
from allauth.mfa import signals as mfa_signals
from django.db import transaction
from django.utils import timezone

from accounts.models import ApiKey, Invitation, Member, User
from accounts.notifications import notify

# Signal → what happened, as the person did it.
_SIGN_IN = (
    (account_signals.password_changed, "Your password was changed"),
    (account_signals.password_set, "A password was set"),
    (account_signals.password_reset, "Your password was reset"),
    (account_signals.email_changed, "Your main e-mail address was changed"),
    (account_signals.email_added, "An e-mail address was added"),
    (account_signals.email_removed, "An e-mail address was removed"),
    (mfa_signals.authenticator_added, "Two-factor sign-in was set up"),
    (mfa_signals.authenticator_removed, "Two-factor sign-in was taken off"),
    (mfa_signals.authenticator_reset, "New recovery codes were made"),
)


def connect() -> None:
    """Hear of changed ways to sign in, wherever allauth lets them be changed."""
    for signal, what in _SIGN_IN:
        signal.connect(_listener(what), dispatch_uid=f"telling:{what}", weak=False)


def invited(invitation: Invitation, *, now: datetime) -> None:
    """To who has a log-in with that address, in the site; the letter with the link goes out beside it."""
    proven = EmailAddress.objects.filter(email__iexact=invitation.email, verified=True)
    address = proven.select_related("user").first()
    if address is not None:
        notify(
            account=invitation.account,
            kind="invited",
            key=f"invited:{invitation.pk}",
            now=now,
            context={
                "by": _name(invitation.invited_by) if invitation.invited_by else "Somebody",
                "email": invitation.email,
                "role": invitation.get_role_display().lower(),
                "until": invitation.expires_at.isoformat(),
            },
            to=address.user,
            by_mail=False,
        )


def joined(member: Member, *, now: datetime) -> None:
    """Somebody accepted an invitation. In the transaction that makes them a member, as are all of these."""
    user = member.user
    notify(
        account=member.account,
        kind="member_joined",
        key=f"member_joined:{member.pk}",
        now=now,
        context={"name": _name(user), "email": user.email, "role": member.get_role_display().lower()},
    )


def gone(member: Member, *, by: Member, now: datetime) -> None:
    """Somebody left or was put out: those who manage members hear of it."""
    left = member.user_id == by.user_id
    notify(
        account=member.account,
        kind="member_removed",
        key=f"member_removed:{member.pk}",
        now=now,
        context={
            "name": _name(member.user),
            "email": member.user.email,
            "by": None if left else _name(by.user),
        },
    )


def role_changed(member: Member, *, by: Member, now: datetime) -> None:
    """To the one whose role it is; who changed their own knows it."""
    if member.user_id != by.user_id:
        notify(
            account=member.account,
            kind="role_changed",
            key=f"role_changed:{member.pk}:{now.isoformat()}",
            now=now,
            context={"role": member.get_role_display().lower(), "by": _name(by.user)},
            to=member.user,
        )


def key_made(key: ApiKey, *, now: datetime) -> None:
    """Of an account's key; a service key is staff's own business."""
    if key.account is not None:
        notify(
            account=key.account,
            kind="api_key_made",
            key=f"api_key_made:{key.pk}",
            now=now,
            context=_of_key(key, key.created_by),
        )


def key_rolled(key: ApiKey, *, new: ApiKey, by: User | None, now: datetime) -> None:
    """`new` took the place of `key`, which works until `key.expires_at`: one letter, about both."""
    if key.account is not None:
        works_on = key.expires_at is not None and now < key.expires_at
        notify(
            account=key.account,
            kind="api_key_rolled",
            key=f"api_key_rolled:{key.pk}",
            now=now,
            context={
                **_of_key(key, by),
                "new_prefix": new.prefix,
                "works_until": key.expires_at.isoformat() if works_on and key.expires_at else None,
            },
        )


def key_revoked(key: ApiKey, *, by: User | None, now: datetime) -> None:
    """It does not work any more."""
    if key.account is not None:
        notify(
            account=key.account,
            kind="api_key_revoked",
            key=f"api_key_revoked:{key.pk}:{now.isoformat()}",
            now=now,
            context=_of_key(key, by),
        )


def _of_key(key: ApiKey, by: User | None) -> dict[str, Any]:
    return {
        "name": key.name,
        "prefix": key.prefix,
        "scopes": list(key.scopes),
        "by": _name(by) if by else None,
    }


def _name(user: User) -> str:
    return user.name or user.email


def _listener(what: str) -> Any:
    def hear(*, user: User, **_: Any) -> None:
        """allauth's own letter goes out by mail, with the place it came from; this is for the list in the site."""
        now = timezone.now()
        with transaction.atomic():
            notify(
                account=None,
                kind="sign_in_changed",
                key=f"sign_in_changed:{what}:{now.isoformat()}",
                now=now,
                context={"what": what, "at": now.isoformat()},
                to=user,
                by_mail=False,
            )

    return hear
