"""Something bought once can have an invoice, which is written when it is paid."""

from __future__ import annotations

import stripe

from tests.simulator.shop import Shop

SEPA_LATER = "AT321904300235473204"


def session(shop: Shop, customer: str, *, quantity: int = 2, **more: object) -> str:
    product = shop.v1.products.create({"name": "500 pages"})
    price = shop.v1.prices.create({"product": product.id, "currency": "usd", "unit_amount": 2500})
    given = {
        "mode": "payment",
        "customer": customer,
        "line_items": [{"price": price.id, "quantity": quantity}],
        "payment_intent_data": {"metadata": {"pack": "pages"}},
        "invoice_creation": {
            "enabled": True,
            "invoice_data": {"description": "2 × 500 pages", "metadata": {"pack": "pages"}},
        },
        "success_url": "https://shop.example/",
        **more,
    }
    return shop.v1.checkout.sessions.create(given).id  # type: ignore[arg-type]


def invoice_of(shop: Shop, session_id: str) -> stripe.Invoice | None:
    found = shop.v1.checkout.sessions.retrieve(session_id, {"expand": ["invoice.payments"]}).invoice
    assert found is None or isinstance(found, stripe.Invoice)
    return found


def test_a_paid_pack_has_an_invoice_that_names_its_payment(shop: Shop) -> None:
    customer = shop.customer()
    session_id = session(shop, customer)
    assert invoice_of(shop, session_id) is None

    before = len(shop.happened())
    assert shop.pay(session_id).status == "paid"

    invoice = invoice_of(shop, session_id)
    assert invoice is not None
    assert (invoice.status, invoice.amount_paid, invoice.amount_due) == ("paid", 5000, 5000)
    assert (invoice.description, invoice.billing_reason) == ("2 × 500 pages", "manual")
    assert invoice.metadata is not None and invoice.metadata.to_dict() == {"pack": "pages"}
    assert invoice.number and invoice.invoice_pdf and invoice.status_transitions.paid_at
    done = shop.v1.checkout.sessions.retrieve(session_id)
    payments = invoice.payments
    assert payments is not None
    assert [(one.status, one.payment.payment_intent) for one in payments.data] == [
        ("paid", done.payment_intent)
    ]
    charge = shop.v1.charges.list({"customer": customer}).data[0]
    assert charge.metadata.to_dict() == {"pack": "pages"}
    told = shop.happened()[before:]
    assert [kind for kind in told if kind.startswith("invoice.")] == [
        "invoice.created",
        "invoice.finalized",
        "invoice.updated",
        "invoice.paid",
        "invoice.payment_succeeded",
    ]


def test_a_customers_credit_has_no_part_in_what_was_paid_on_the_page(shop: Shop) -> None:
    customer = shop.customer()
    shop.v1.customers.balance_transactions.create(customer, {"amount": -700, "currency": "usd"})
    session_id = session(shop, customer)

    shop.pay(session_id)

    invoice = invoice_of(shop, session_id)
    assert invoice is not None and invoice.amount_paid == 5000
    assert shop.v1.customers.retrieve(customer).balance == -700


def test_without_asking_for_it_there_is_no_invoice(shop: Shop) -> None:
    session_id = session(shop, shop.customer(), invoice_creation={"enabled": False})

    shop.pay(session_id)

    assert invoice_of(shop, session_id) is None
