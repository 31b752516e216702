"""For the words of notifications, whose context is plain JSON; and `{% unread %}` for the header."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import template

from accounts.models import InboxEntry, Scope, every_scope
from accounts.models.people import with_article
from billing import money as words

register = template.Library()


@register.filter
def day(iso: str | None) -> str:
    """ "2026-11-30T14:05:00+00:00" as "30 November 2026"; nothing as nothing."""
    return f"{_utc(iso):%-d %B %Y}" if iso else ""


@register.filter
def moment(iso: str | None) -> str:
    """The same with its time: "30 November 2026, 14:05 UTC"."""
    return f"{_utc(iso):%-d %B %Y, %H:%M} UTC" if iso else ""


@register.filter
def scope_words(scope: str) -> str:
    """What a key with this scope may do; nothing for one that we have lost."""
    return Scope(scope).label if scope in Scope else ""


@register.filter
def is_every_scope(scopes: list[str] | None) -> bool:
    return set(scopes or ()) >= set(every_scope())


register.filter("with_article", with_article)


@register.simple_tag(name="sum")
def money(amount: object, currency: object, short: bool = False) -> str:
    """{% sum amount currency %}: "$29.00"; a dash for what is not known, so that no letter fails for want of it."""
    if not isinstance(amount, int) or not isinstance(currency, str) or not currency:
        return "–"
    return words.text(amount, currency, short=short)


@register.simple_tag(takes_context=True)
def unread(context: dict[str, Any]) -> int:
    """How many notifications the signed-in person has not read."""
    request = context.get("request")
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return 0
    return InboxEntry.objects.of(user).unread().count()


def _utc(iso: str) -> datetime:
    return datetime.fromisoformat(iso).astimezone(UTC)
