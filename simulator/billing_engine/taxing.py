"""Tax on invoice lines: by hand with tax rates, or automatically at one fixed test rate.

Stripe Tax looks up the customer's address; here every place has the same rate, so that amounts can be checked.
"""

from typing import TYPE_CHECKING, Any

from simulator.billing_engine import money
from simulator.errors import no_such
from simulator.params import Params
from simulator.shapes import Obj, new

if TYPE_CHECKING:
    from simulator.core import Simulator

TEST_PERCENTAGE = 10.0
TEST_RATE = "txr_simulated_automatic"
_REASONS = {"exempt": "customer_exempt", "reverse": "reverse_charge"}


def apply(sim: "Simulator", invoice: Obj) -> tuple[int, int]:
    """Fills the taxes of an invoice's lines and its sums; returns exclusive and inclusive tax in minor units."""
    totals: dict[tuple[str, str], Obj] = {}
    for line in invoice["lines"]["data"]:
        base = line["amount"] - sum(part["amount"] for part in line["discount_amounts"])
        line["taxes"] = (line.get("_") or {}).get("tax_amounts") or [
            _tax(sim, base, rate, line, invoice["customer_tax_exempt"]) for rate in _rates(sim, invoice, line)
        ]
        for tax in line["taxes"]:
            key = (tax["tax_rate_details"]["tax_rate"], tax["tax_behavior"])
            if key in totals:
                totals[key]["amount"] += tax["amount"]
                totals[key]["taxable_amount"] += tax["taxable_amount"]
            else:
                totals[key] = dict(tax)
    invoice["total_taxes"] = list(totals.values())
    sums = {"exclusive": 0, "inclusive": 0}
    for tax in totals.values():
        sums[tax["tax_behavior"]] += tax["amount"]
    return sums["exclusive"], sums["inclusive"]


def added(sim: "Simulator", amount: int, rates: list[Obj], exempt: str | None) -> int:
    """What rates by hand add to `amount`, as a checkout page shows it; those it includes add nothing."""
    return sum(_amount(amount, rate, False, exempt) for rate in rates if not rate["inclusive"])


def automatic(sim: "Simulator", amount: int, price: Obj, exempt: str | None) -> int:
    """The exclusive automatic tax on `amount` of a price, as a checkout page adds it."""
    found = _amount(amount, automatic_rate(sim), price["tax_behavior"] == "inclusive", exempt)
    return 0 if price["tax_behavior"] == "inclusive" else found


def automatic_rate(sim: "Simulator") -> Obj:
    """The one rate of automatic tax, made when first needed."""
    found = sim.store.get("tax_rate", TEST_RATE)
    return found or sim.save(
        new(
            "tax_rate",
            id=TEST_RATE,
            active=False,
            created=sim.clock.now(),
            display_name="Simulated tax",
            effective_percentage=TEST_PERCENTAGE,
            inclusive=False,
            percentage=TEST_PERCENTAGE,
            rate_type="percentage",
        )
    )


def asked_for(sim: "Simulator", params: Params, name: str) -> list[Obj]:
    """The tax rates of a list parameter such as `default_tax_rates[]`; 400 for one that is not there."""
    found = []
    for each in params.list(name):
        rate = sim.store.get("tax_rate", each)
        if rate is None:
            raise no_such("tax_rate", str(each), param=params.name(name), status=400)
        found.append(rate)
    return found


def by_hand(sim: "Simulator", params: Params) -> list[Obj]:
    """The `tax_amounts[]` of a line: exact amounts, each with a rate made for it that nobody else can use."""
    found = []
    for given in params.each("tax_amounts"):
        data = given.inner("tax_rate_data")
        percentage = data.decimal("percentage")
        rate = new(
            "tax_rate",
            active=False,
            created=sim.clock.now(),
            display_name=data.need("display_name"),
            effective_percentage=float(percentage or 0),
            inclusive=data.flag("inclusive"),
            percentage=float(percentage or 0),
            rate_type="percentage",
        )
        sim.save(rate)
        found.append(
            {
                "amount": given.integer("amount"),
                "tax_behavior": "inclusive" if rate["inclusive"] else "exclusive",
                "tax_rate_details": {"tax_rate": rate["id"]},
                "taxability_reason": given.text("taxability_reason") or "standard_rated",
                "taxable_amount": given.integer("taxable_amount"),
                "type": "tax_rate_details",
            }
        )
    return found


def _rates(sim: "Simulator", invoice: Obj, line: Obj) -> list[Obj]:
    if invoice["automatic_tax"]["enabled"]:
        return [automatic_rate(sim)]
    named: list[Any] = (line.get("_") or {}).get("tax_rates") or invoice["default_tax_rates"]
    return named


def _tax(sim: "Simulator", base: int, rate: Obj, line: Obj, exempt: str | None) -> Obj:
    price = sim.store.get("price", line["pricing"]["price_details"]["price"]) if line["pricing"] else None
    by_price = price is not None and rate["id"] == TEST_RATE and price["tax_behavior"] == "inclusive"
    is_inclusive = bool(rate["inclusive"]) or by_price
    amount = _amount(base, rate, is_inclusive, exempt)
    return {
        "amount": amount,
        "tax_behavior": "inclusive" if is_inclusive else "exclusive",
        "tax_rate_details": {"tax_rate": rate["id"]},
        "taxability_reason": _REASONS.get(exempt or "", "standard_rated"),
        "taxable_amount": base - amount if is_inclusive else base,
        "type": "tax_rate_details",
    }


def _amount(base: int, rate: Obj, is_inclusive: bool, exempt: str | None) -> int:
    if exempt in _REASONS:
        return 0
    thousandths = round(rate["percentage"] * 10_000)
    return money.share(base, thousandths, 1_000_000 + (thousandths if is_inclusive else 0))
