"""A notification as a letter: plain text with an HTML twin, the same Message-ID however often it must be sent."""

from __future__ import annotations

import hashlib
from datetime import datetime
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template import TemplateDoesNotExist
from django.template.loader import render_to_string
from django.urls import reverse

from accounts.models import Delivery, InboxEntry, User
from accounts.notifications import kinds, preferences
from accounts.notifications.kinds import Kind
from config.mailbox import ABOUT


def carry(delivery: Delivery, now: datetime) -> None:
    """Send it, unless the person has lost the right to read it since. Raises what the mail back-end raises."""
    notification = delivery.notification
    if delivery.user is not None and not _may_still_read(delivery, delivery.user):
        return
    kind = kinds.find(notification.kind)
    leave = _leave_url(delivery.user, kind)
    context = {
        **notification.context,
        "kind": kind,
        "subject": notification.subject,
        "text": notification.text,
        "account": notification.account,
        "leave_url": leave,
        "settings_url": settings.BASE_URL + reverse("accounts:mail_preferences"),
        "SITE_NAME": settings.SITE_NAME,
        "BASE_URL": settings.BASE_URL,
    }
    letter = EmailMultiAlternatives(
        subject=notification.subject,
        body=render_to_string("notifications/_letter.txt", context),
        to=[delivery.address],
        headers=_headers(delivery, leave),
    )
    letter.attach_alternative(_html(kind, context), "text/html")
    letter.send()


def _may_still_read(delivery: Delivery, user: User) -> bool:
    return InboxEntry.objects.of(user).filter(notification=delivery.notification).exists()


def _leave_url(user: User | None, kind: Kind) -> str:
    if user is None or not kind.may_refuse_mail:
        return ""
    token = preferences.unsubscribe_token(user, kind)
    return f"{settings.BASE_URL}{reverse('accounts:unsubscribe', args=[token])}"


def _headers(delivery: Delivery, leave: str) -> dict[str, str]:
    """One-click leaving is RFC 8058; Auto-Submitted (RFC 3834) keeps absence notes from answering."""
    host = urlsplit(settings.BASE_URL).hostname or "localhost"
    name = f"{delivery.notification.key}:{delivery.address.lower()}"
    digest = hashlib.sha256(name.encode()).hexdigest()[:32]
    headers = {"Message-ID": f"<{digest}@{host}>", "Auto-Submitted": "auto-generated"}
    if delivery.notification.account_id:
        headers[ABOUT] = str(delivery.notification.account_id)
    if leave:
        headers |= {"List-Unsubscribe": f"<{leave}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    return headers


def _html(kind: Kind, context: dict[str, object]) -> str:
    """The kind's own page where there is one, else the same words as paragraphs."""
    try:
        return render_to_string(f"notifications/{kind.name}.html", context)
    except TemplateDoesNotExist:
        return render_to_string("notifications/_letter.html", context)
