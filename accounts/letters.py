"""The letters of the room: an invitation, in plain text."""

from __future__ import annotations

from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.urls import reverse

from accounts.models import Invitation
from config.mailbox import ABOUT


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
    EmailMessage(
        subject=" ".join(subject.split()),
        body=render_to_string("emails/invitation.txt", context),
        to=[invitation.email],
        headers={ABOUT: str(invitation.account_id)},
    ).send()
