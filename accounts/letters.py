"""The letters of the room: an invitation, in plain text."""

from __future__ import annotations

from django.conf import settings
from django.core.mail import send_mail
from django.template.loader import render_to_string
from django.urls import reverse

from accounts.models import Invitation


def send_invitation(*, invitation: Invitation, token: str) -> None:
    """Raises what the mail back-end raises; the invitation stands, and the letter can be sent again."""
    by = invitation.invited_by
    context = {
        "invitation": invitation,
        "by": (by.name or by.email) if by else "Somebody",
        "url": settings.BASE_URL + reverse("accounts:invitation", args=[token]),
        "SITE_NAME": settings.SITE_NAME,
    }
    subject = render_to_string("emails/invitation_subject.txt", context)
    send_mail(
        " ".join(subject.split()),
        render_to_string("emails/invitation.txt", context),
        settings.DEFAULT_FROM_EMAIL,
        [invitation.email],
    )
