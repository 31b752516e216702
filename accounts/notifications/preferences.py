"""Who wants mail of which kind. Billing and security cannot be refused; the list in the site has everything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.core import signing
from django.db import transaction
from django.http import Http404

from accounts.models import MailPreference, User
from accounts.notifications import kinds
from accounts.notifications.kinds import Kind

SALT = "tallyhouse.unsubscribe"


class CannotBeRefused(Exception):
    """Mail about money and about who can get in is part of having an account."""


def willing(kind: Kind, people: Iterable[User]) -> list[User]:
    """Those of `people` to whom mail of this kind goes."""
    people = list(people)
    if not kind.may_refuse_mail:
        return people
    said = dict(
        MailPreference.objects.filter(kind=kind.name, user__in=people).values_list("user_id", "wants_mail")
    )
    return [user for user in people if said.get(user.pk, kind.by_mail)]


def of(user: User) -> dict[str, bool]:
    """Kind → whether its mail comes, for every kind."""
    said = dict(MailPreference.objects.filter(user=user).values_list("kind", "wants_mail"))
    return {
        kind.name: said.get(kind.name, kind.by_mail) if kind.may_refuse_mail else True
        for kind in kinds.KINDS.values()
    }


def choose(*, user: User, wanted: Mapping[str, bool]) -> None:
    """Keep what a person wants by mail, by kind. Raises CannotBeRefused, UnknownKind; then nothing is kept."""
    for name, wants in wanted.items():
        if not wants and not kinds.find(name).may_refuse_mail:
            raise CannotBeRefused(f"Mail for “{kinds.find(name).label}” always comes.")
    with transaction.atomic():
        for name, wants in wanted.items():
            if kinds.find(name).may_refuse_mail:
                MailPreference.objects.update_or_create(user=user, kind=name, defaults={"wants_mail": wants})


def unsubscribe_token(user: User, kind: Kind) -> str:
    """For the link in a mail: it says who refuses what, and can do nothing else."""
    return signing.dumps([user.pk, kind.name], salt=SALT)


def read_token(token: str) -> tuple[User, Kind]:
    """Raises Http404 when the link is not one of ours, or the person is gone."""
    try:
        pk, name = signing.loads(token, salt=SALT)
        return User.objects.get(pk=pk), kinds.find(name)
    except (signing.BadSignature, ValueError, TypeError, User.DoesNotExist, kinds.UnknownKind) as error:
        raise Http404 from error
