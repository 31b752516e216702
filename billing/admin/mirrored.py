"""Stripe's objects as dj-stripe mirrors them, to look at only.

dj-stripe registers 41 pages of its own, some of which fail on today's shapes of Stripe's objects and some of which
cancel or delete. They are taken down; the eight tables our mirror fills get a plain page each.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from django.apps import apps
from django.contrib import admin
from django.db.models import Model
from django.utils.html import format_html
from django.utils.safestring import SafeString

from billing.admin.read_only import ReadOnlyAdmin, amount, pretty
from billing.stripe import mirror

Doc = dict[str, Any]


class MirroredAdmin(ReadOnlyAdmin):
    """Everything is read from the mirrored document, so that a page opens whatever shape it has."""

    fields = ("id", "at_stripe", "created", "livemode", "djstripe_updated", "document")
    list_filter = ("livemode",)
    search_fields: ClassVar[tuple[str, ...]] = ("=id", "stripe_data__customer")
    date_hierarchy = "created"
    ordering = ("-created",)

    @admin.display(description="At Stripe")
    def at_stripe(self, row: Any) -> SafeString:
        mode = "" if row.livemode else "test/"
        return format_html('<a href="https://dashboard.stripe.com/{0}search?query={1}">{1}</a>', mode, row.id)

    @admin.display(description="As Stripe said")
    def document(self, row: Any) -> SafeString:
        return pretty(row.stripe_data)

    @admin.display(description="Customer")
    def of(self, row: Any) -> str:
        return _id(row.stripe_data.get("customer"))

    @admin.display(description="Status")
    def standing(self, row: Any) -> str:
        return str(row.stripe_data.get("status") or "–")

    @admin.display(description="Amount")
    def sum(self, row: Any) -> str:
        document: Doc = row.stripe_data
        number = next(
            (document[key] for key in ("amount", "total", "unit_amount") if document.get(key) is not None),
            None,
        )
        return amount(number, document.get("currency") or "")

    @admin.display(description="Name")
    def said_name(self, row: Any) -> str:
        document: Doc = row.stripe_data
        return str(document.get("name") or document.get("nickname") or document.get("email") or "–")

    @admin.display(description="E-mail")
    def mail(self, row: Any) -> str:
        return str(row.stripe_data.get("email") or "–")

    @admin.display(description="Number")
    def number(self, row: Any) -> str:
        return str(row.stripe_data.get("number") or "–")

    @admin.display(description="Lookup key")
    def lookup(self, row: Any) -> str:
        return str(row.stripe_data.get("lookup_key") or "–")

    @admin.display(description="For sale", boolean=True)
    def is_active(self, row: Any) -> bool:
        return bool(row.stripe_data.get("active"))

    @admin.display(description="Card")
    def card(self, row: Any) -> str:
        card = row.stripe_data.get("card") or {}
        return (
            f"{card.get('brand')} …{card.get('last4')}" if card else str(row.stripe_data.get("type") or "–")
        )

    @admin.display(description="Period ends")
    def period_end(self, row: Any) -> str:
        """On the items since API version 2025-03-31, on the subscription before."""
        document: Doc = row.stripe_data
        items = (document.get("items") or {}).get("data") or []
        ends = [item["current_period_end"] for item in items if item.get("current_period_end")]
        moment = min(ends, default=document.get("current_period_end"))
        return f"{datetime.fromtimestamp(moment, tz=UTC):%Y-%m-%d %H:%M}" if moment else "–"


COLUMNS = {
    "charge": ("id", "created", "of", "sum", "standing"),
    "customer": ("id", "created", "said_name", "mail"),
    "invoice": ("id", "created", "number", "of", "sum", "standing"),
    "payment_method": ("id", "created", "of", "card"),
    "price": ("id", "created", "lookup", "said_name", "sum", "is_active"),
    "product": ("id", "created", "said_name", "is_active"),
    "refund": ("id", "created", "sum", "standing"),
    "subscription": ("id", "created", "of", "standing", "period_end"),
}
SEARCHED = {
    "customer": ("=id", "stripe_data__email", "stripe_data__name"),
    "price": ("=id", "stripe_data__lookup_key", "stripe_data__nickname"),
    "product": ("=id", "stripe_data__name"),
    "invoice": ("=id", "stripe_data__customer", "stripe_data__number"),
    "refund": ("=id", "stripe_data__charge", "stripe_data__payment_intent"),
}


def replace_pages() -> None:
    """Take down dj-stripe's own pages and put ours up."""
    for model in apps.get_app_config("djstripe").get_models():
        if admin.site.is_registered(model):
            admin.site.unregister(model)
    for kind, model in mirror.TABLES.items():
        admin.site.register(model, _page(kind, model))


def _page(kind: str, model: type[Model]) -> type[MirroredAdmin]:
    parts = {"list_display": COLUMNS[kind], "search_fields": SEARCHED.get(kind, MirroredAdmin.search_fields)}
    return type(f"Mirrored{model.__name__}Admin", (MirroredAdmin,), parts)


def _id(reference: Any) -> str:
    """An id, whether Stripe gave it alone or with the whole object."""
    return str(reference["id"] if isinstance(reference, dict) else reference or "–")


replace_pages()
