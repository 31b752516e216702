"""A staff page to be looked at: rows that Stripe or the product writes, and nobody by hand."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from billing import money


class LookOnly:
    """Mixed into an admin or inline: no adding, changing or deleting."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyAdmin(LookOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """A list with its rows, and actions only where a subclass has them."""

    show_full_result_count = False
    list_per_page = 50

    def has_act_permission(self, request: HttpRequest) -> bool:
        """Actions carry `permissions=["act"]`: for those who would be allowed to change such rows."""
        name = f"{self.opts.app_label}.change_{self.opts.model_name}"
        return request.user.is_active and request.user.has_perm(name)


def amount(number: int | None, currency: str) -> str:
    """Minor units in words; a dash for what is not known."""
    return "–" if number is None or not currency else money.text(number, currency)


def pretty(document: Any) -> SafeString:
    """A document of Stripe's, indented and escaped."""
    return format_html("<pre>{}</pre>", json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True))
