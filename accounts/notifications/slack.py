"""A notification in a Slack channel, by an incoming webhook.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
"""

from __future__ import annotations

import json
from datetime import datetime

from accounts.models import Delivery
from accounts.notifications import calls, destinations

LONGEST_TEXT = 2800


def carry(delivery: Delivery, now: datetime) -> None:
    """Post it. Raises outgoing.NotAllowed, outgoing.NotReached."""
    assert delivery.destination is not None
    notification = delivery.notification
    text = f"*{_plain(notification.subject)}*\n{_plain(notification.text)}"
    calls.log_and_post(
        delivery,
        url=destinations.url_of(delivery.destination),
        body=json.dumps({"text": text[:LONGEST_TEXT], "unfurl_links": False}).encode(),
        headers={"Content-Type": "application/json; charset=utf-8"},
        now=now,
    )


def _plain(text: str) -> str:
    """Slack reads <…> as links and calls to people: https://docs.slack.dev/messaging/formatting-message-text"""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
