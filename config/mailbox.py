"""The demo's mailbox: every mail the site would have sent, read from the files the demo writes instead."""

import email
import email.policy
from collections.abc import Collection
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import getaddresses
from pathlib import Path

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

SHOWN = 30
# The line Django's file backend draws after each mail; it writes one file per connection.
LINE = "-" * 79
# The header of a mail that says which account it is about.
ABOUT = "X-Account"


@dataclass(frozen=True)
class Letter:
    """One mail as a person reads it."""

    to: str
    subject: str
    date: str
    text: str


@require_GET
@never_cache
def mailbox(request: HttpRequest) -> HttpResponse:
    """The newest mails, newest first. Only in the demo, where nobody's real mail is."""
    if not settings.DEMO:
        raise Http404
    return render(request, "demo/mailbox.html", {"letters": _newest(Path(settings.EMAIL_FILE_PATH))})


def forget(*, account: str, addresses: Collection[str]) -> None:
    """Take out the mails about `account` (its id) and to `addresses` (lower case). Outside the demo there are none."""
    if not settings.DEMO:
        return
    for file in Path(settings.EMAIL_FILE_PATH).glob("*.log"):
        mails = [mail for mail in file.read_text(errors="replace").split(LINE) if mail.strip()]
        kept = [mail for mail in mails if not _is_about(mail, account, addresses)]
        if not kept:
            file.unlink(missing_ok=True)
        elif len(kept) < len(mails):
            file.write_text(LINE.join([*kept, ""]))


def _is_about(source: str, account: str, addresses: Collection[str]) -> bool:
    mail = email.message_from_bytes(source.strip().encode(), policy=email.policy.default)
    to = {address.lower() for _, address in getaddresses([str(mail["To"])])}
    return mail[ABOUT] == account or not to.isdisjoint(addresses)


def _newest(folder: Path) -> list[Letter]:
    files = sorted(folder.glob("*.log"), key=lambda file: file.stat().st_mtime, reverse=True)[:SHOWN]
    letters: list[Letter] = []
    for file in files:
        mails = file.read_text(errors="replace").split(LINE)
        letters += [_letter(mail) for mail in reversed(mails) if mail.strip()]
    return letters[:SHOWN]


def _letter(source: str) -> Letter:
    # As bytes: letters go out with eight bits a sign, and text would be read as if it had seven.
    mail = email.message_from_bytes(source.strip().encode(), policy=email.policy.default)
    assert isinstance(mail, EmailMessage)
    body = mail.get_body(preferencelist=("plain", "html"))
    return Letter(
        to=str(mail["To"]),
        subject=str(mail["Subject"]),
        date=str(mail["Date"]),
        text=str(body.get_content()) if body else "",
    )
