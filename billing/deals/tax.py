"""Whom the invoices are for: name, address and tax ids as Stripe has them, changed there and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass, field

from accounts.models import Account
from billing.lifecycle import customers, subscriptions
from billing.models import Customer
from billing.stripe import gateway, shapes

Busy = subscriptions.Busy

# The kinds that are asked for most, with an example of each: https://docs.stripe.com/billing/customer/tax-ids
KINDS = {
    "eu_vat": ("EU VAT number", "DE123456789"),
    "gb_vat": ("United Kingdom VAT number", "GB123456789"),
    "ch_vat": ("Switzerland VAT number", "CHE-123.456.789 MWST"),
    "no_vat": ("Norway VAT number", "123456789MVA"),
    "us_ein": ("United States EIN", "12-3456789"),
    "ca_gst_hst": ("Canada GST/HST number", "123456789RT0002"),
    "au_abn": ("Australia business number (ABN)", "12345678912"),
    "nz_gst": ("New Zealand GST number", "123456789"),
    "in_gst": ("India GST number", "12ABCDE3456FGZH"),
    "jp_trn": ("Japan tax registration number", "T1234567891234"),
    "sg_gst": ("Singapore GST number", "M12345678X"),
    "za_vat": ("South Africa VAT number", "4123456789"),
    "br_cnpj": ("Brazil CNPJ", "01.234.456/5432-10"),
    "mx_rfc": ("Mexico RFC number", "ABC010203AB9"),
}
ADDRESS = ("line1", "line2", "postal_code", "city", "state", "country")
MOST_TAX_IDS = 5


class NotAccepted(Exception):
    """Stripe does not take this. The text is for the customer: what is the matter."""


@dataclass(frozen=True)
class TaxId:
    """A tax id and what became of its check. `state` is Stripe's word; an open list."""

    stripe_id: str
    kind: str
    value: str
    state: str
    verified_name: str

    @property
    def label(self) -> str:
        return KINDS[self.kind][0] if self.kind in KINDS else self.kind.replace("_", " ").upper()


@dataclass(frozen=True)
class Details:
    """What stands on the next invoice."""

    name: str
    address: dict[str, str] = field(default_factory=dict)
    tax_ids: tuple[TaxId, ...] = ()


def details(account: Account) -> Details:
    """Ask Stripe. An account that is not known there has its own name and nothing else. Raises the gateway's errors."""
    customer = Customer.objects.filter(account=account).first()
    if customer is None or not customer.stripe_customer_id:
        return Details(name=account.name)
    known = gateway.get(f"/v1/customers/{customer.stripe_customer_id}", {"expand": ["tax_ids"]})
    if known.get("deleted"):
        return Details(name=account.name)
    address = known.get("address") or {}
    return Details(
        name=known.get("name") or account.name,
        address={part: address.get(part) or "" for part in ADDRESS},
        tax_ids=tuple(_tax_id(one) for one in shapes.entries(known.get("tax_ids"))),
    )


def save(*, account: Account, name: str, address: dict[str, str]) -> None:
    """Write name and address for the invoices from now on. Raises NotAccepted, Busy and the gateway's errors."""
    with subscriptions.acting(account=account, purpose="details") as held:
        customer = customers.ensure(account=account, held=held)
        own = name if name != account.name else ""
        try:
            gateway.post(
                f"/v1/customers/{customer.stripe_customer_id}",
                {
                    "name": name,
                    "address": {part: address.get(part, "") for part in ADDRESS},
                    "metadata": {customers.INVOICE_NAME_KEY: own},
                },
                idempotency_key=f"details:{account.pk}:{held.token}",
            )
        except gateway.InvalidRequest as refusal:
            raise NotAccepted(refusal.message) from None


def add_tax_id(*, account: Account, kind: str, value: str) -> TaxId:
    """Add a tax id, which Stripe checks where it can. Raises NotAccepted, Busy and the gateway's errors.

    The same one added twice is one.
    """
    with subscriptions.acting(account=account, purpose="tax_id") as held:
        customer = customers.ensure(account=account, held=held)
        path = f"/v1/customers/{customer.stripe_customer_id}/tax_ids"
        present = [_tax_id(one) for one in gateway.get(path)["data"]]
        same = next((one for one in present if (one.kind, one.value) == (kind, value)), None)
        if same is not None:
            return same
        if len(present) >= MOST_TAX_IDS:
            raise NotAccepted(f"Stripe keeps {MOST_TAX_IDS} tax ids. Remove one first.")
        try:
            made = gateway.post(
                path, {"type": kind, "value": value}, idempotency_key=f"tax_id:{account.pk}:{held.token}"
            )
        except gateway.InvalidRequest:
            label, example = KINDS[kind]
            raise NotAccepted(f"This is not a {label}. It looks like {example}.") from None
    return _tax_id(made)


def remove_tax_id(*, account: Account, stripe_id: str) -> None:
    """Take a tax id off the next invoices. One that is gone, or was never this account's, is no error."""
    with subscriptions.acting(account=account, purpose="tax_id") as held:
        name = held.customer.stripe_customer_id
        present = gateway.get(f"/v1/customers/{name}/tax_ids")["data"] if name else []
        if stripe_id in {one["id"] for one in present}:
            gateway.delete(f"/v1/customers/{name}/tax_ids/{stripe_id}")


def _tax_id(document: shapes.Doc) -> TaxId:
    check = document.get("verification") or {}
    return TaxId(
        stripe_id=document["id"],
        kind=document["type"],
        value=document["value"],
        state=check.get("status") or "unavailable",
        verified_name=check.get("verified_name") or "",
    )
