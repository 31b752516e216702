"""What is sold, to whom, in which numbers and in which currency."""

from __future__ import annotations

from accounts.models import Account
from billing import catalog
from billing.catalog import Plan, Price
from billing.lifecycle.checkout.refusals import BadQuantity, NotForSale, WrongAudience
from billing.models import Customer

# More than this is a matter for sales, and Stripe's own largest amount is not far.
MOST_SEATS = 10_000


def check_sold(plan: Plan, price: Price, quantity: int, account: Account) -> None:
    """Whether this price is sold to this account in this number. Raises the CheckoutRefused kinds."""
    if plan.contact_sales:
        raise NotForSale(f"{plan.name} is agreed with our sales team. Write to them; nothing was charged.")
    if plan.retired or price not in (plan.price_every(price.interval), *plan.base_prices):
        raise NotForSale(f"{plan.name} is not sold this way any more. Choose a plan from the price list.")
    if not plan.suits(account.kind):
        other = "an organization" if plan.audience == "organization" else "a person"
        raise WrongAudience(f"{plan.name} is for {other}. Switch the account at the top of the page first.")
    if plan.seats is not None and price.per_seat:
        if not plan.seats.allow(quantity):
            top = f" to {plan.seats.max}" if plan.seats.max is not None else " or more"
            raise BadQuantity(
                f"{plan.name} comes with {plan.seats.min}{top} seats. Choose a number of seats in between."
            )
        if quantity > MOST_SEATS:
            sales = catalog.current().company.sales_email or catalog.current().company.support_email
            raise BadQuantity(
                f"For more than {MOST_SEATS:,} seats write to {sales}: there is a better price."
            )
    elif quantity != 1:
        raise BadQuantity(f"{plan.name} is sold once per account, not by the seat.")


def currency_of(customer: Customer, price: Price, wanted: str) -> str:
    """What the page charges in; empty for the price's own. Raises NotForSale.

    Stripe bills a customer in one currency (https://docs.stripe.com/billing/customer#currency).
    """
    chosen = customer.currency or wanted or price.currency
    if customer.currency and customer.currency not in catalog.current().currencies:
        raise NotForSale(
            f"You pay in {chosen.upper()} since your first purchase, and nothing is sold in it any more. Write to "
            f"{catalog.current().company.support_email}; nothing was charged."
        )
    if wanted and chosen != wanted:
        raise NotForSale(
            f"You pay in {chosen.upper()} since your first purchase, and that cannot change. Look at the prices in "
            f"{chosen.upper()}; nothing was charged."
        )
    if chosen != price.currency and chosen not in price.currencies:
        raise NotForSale(f"This is not sold in {chosen.upper()}. Choose another price; nothing was charged.")
    return "" if chosen == price.currency else chosen


def check_standing(customer: Customer) -> None:
    """Whether this account may buy anything at all. Raises NotForSale."""
    if customer.is_on_hold:
        support = catalog.current().company.support_email
        raise NotForSale(
            f"This account cannot buy at the moment. Write to {support}, and we will sort it out."
        )
