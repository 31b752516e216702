"""The words of a notification: templates/notifications/<kind>.txt, its first line the subject."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string

from accounts.models import Account
from accounts.notifications.kinds import Kind

LONGEST_SUBJECT = 250


@dataclass(frozen=True)
class Words:
    """One line, and the rest."""

    subject: str
    text: str


def words(kind: Kind, *, context: dict[str, Any], account: Account | None) -> Words:
    """Plain text; links are whole addresses built from the site's own, never from a request."""
    written = render_to_string(
        f"notifications/{kind.name}.txt",
        {
            **context,
            "account": account,
            "account_name": one_line(account.name) if account else "",
            "SITE_NAME": settings.SITE_NAME,
            "BASE_URL": settings.BASE_URL,
        },
    )
    subject, _, text = written.strip().partition("\n")
    return Words(subject=one_line(subject)[:LONGEST_SUBJECT], text=text.strip())


def one_line(text: str) -> str:
    """A line break in a subject would be a header of its own."""
    return " ".join(text.split())
