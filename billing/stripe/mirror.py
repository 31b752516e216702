"""dj-stripe's tables as a mirror of Stripe: for staff to look at and invoices to be searched in. It decides nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import structlog
from django.apps import apps
from django.conf import settings
from django.db.models import QuerySet
from djstripe import models as tables

from billing.stripe import gateway, personal

log = structlog.get_logger(__name__)

TABLES: dict[str, Any] = {
    "charge": tables.Charge,
    "customer": tables.Customer,
    "invoice": tables.Invoice,
    "payment_method": tables.PaymentMethod,
    "price": tables.Price,
    "product": tables.Product,
    "refund": tables.Refund,
    "subscription": tables.Subscription,
}


class MirrorFailed(Exception):
    """dj-stripe could not take an object. Access and money do not depend on it: flag it and go on."""


def outdated(documents: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those that the mirror has not, or has differently, in the given order.

    Most of what a sync fetches has not changed, and rewriting an invoice costs some thirty queries.
    """
    given = [document for document in documents if not document.get("deleted")]
    stored: dict[str, Any] = {}
    for kind in {document["object"] for document in given}:
        ids = [document["id"] for document in given if document["object"] == kind]
        stored.update(TABLES[kind].objects.filter(id__in=ids).values_list("id", "stripe_data"))
    return [document for document in given if not _says(stored.get(document["id"]), document)]


def _says(stored: Mapping[str, Any] | None, document: Mapping[str, Any]) -> bool:
    """dj-stripe adds a few keys of its own to what it stores."""
    return stored is not None and all(
        key in stored and stored[key] == value for key, value in document.items()
    )


def store(document: Mapping[str, Any]) -> None:
    """Write one of Stripe's objects, as asked for with our pinned version, into dj-stripe's table.

    Under the account's lease, because dj-stripe compares no times: an older answer would overwrite a newer
    one. It may ask Stripe for objects this one refers to, so never inside a transaction. Raises MirrorFailed.
    """
    table = TABLES[document["object"]]
    try:
        table.sync_from_stripe_data(gateway.as_sdk_object(document), api_key=settings.STRIPE_SECRET_KEY)
    # Whatever another package raises over a shape it does not know must not keep a customer from what they
    # paid.
    except Exception as error:
        log.warning("mirror_failed", object=document["object"], id=document["id"], error=repr(error)[:300])
        raise MirrorFailed(f"{document['object']} {document['id']}: {type(error).__name__}") from error


def forget_customer(stripe_customer_id: str, *, now: Any) -> None:
    """Mark a customer that was deleted at Stripe, as dj-stripe's purge does, but without asking Stripe to delete."""
    tables.Customer.objects.filter(id=stripe_customer_id, date_purged__isnull=True).update(
        subscriber=None, date_purged=now
    )


def anonymise(stripe_customer_ids: Collection[str]) -> None:
    """Take out of these customers' rows, and out of what they refer to, who somebody is (`personal`). Safe twice."""
    for rows in _rows_of(stripe_customer_ids):
        for row in rows:
            bare = personal.without(row.stripe_data)
            if bare != row.stripe_data:
                columns = {"stripe_data": bare, "metadata": bare.get("metadata") or {}}
                if isinstance(row, tables.Customer):
                    columns |= {"email": "", "subscriber": None}
                type(row).objects.filter(pk=row.pk).update(**columns)


def _rows_of(customers: Collection[str]) -> Iterator[QuerySet[Any]]:
    yield tables.Customer.objects.filter(id__in=customers)
    for table in apps.get_app_config("djstripe").get_models():
        if {"customer", "stripe_data"} <= {field.name for field in table._meta.fields}:
            yield table._default_manager.filter(customer__id__in=customers)
    charges = tables.Charge.objects.filter(customer__id__in=customers)
    yield tables.Refund.objects.filter(charge__in=charges)
    yield tables.Dispute.objects.filter(charge__in=charges)
    # A card that was taken off the customer belongs to nobody any more.
    yield tables.PaymentMethod.objects.filter(id__in=charges.values("payment_method__id"))
