"""The account itself, its balance, and the lists that are always empty here."""

from typing import TYPE_CHECKING

from simulator.errors import no_such
from simulator.nouns import noun
from simulator.routing import Request, route
from simulator.shapes import Obj, empty_list, new, new_id

if TYPE_CHECKING:
    from simulator.core import Simulator

noun("account", "acct_")


@route("GET", "/v1/account")
def retrieve(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/account."""
    return _account(sim)


@route("GET", "/v1/accounts")
def index(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/accounts: no connected accounts."""
    return empty_list(request.path)


@route("GET", "/v1/accounts/{id}")
def retrieve_by_id(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/accounts/{id}: only the account itself."""
    if name != _account(sim)["id"]:
        raise no_such("account", name, param="account")
    return _account(sim)


@route("GET", "/v1/balance")
def balance(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/balance: all payments less fees and refunds, by currency."""
    return sums(sim)


def sums(sim: "Simulator") -> Obj:
    """The balance: everything is available at once here."""
    by_currency: dict[str, int] = {}
    for entry in sim.store.all("balance_transaction"):
        by_currency[entry["currency"]] = by_currency.get(entry["currency"], 0) + entry["net"]
    entries = [
        {"amount": amount, "currency": currency, "source_types": {"card": amount}}
        for currency, amount in (by_currency or {"usd": 0}).items()
    ]
    nothing = [{**entry, "amount": 0, "source_types": {"card": 0}} for entry in entries]
    return {"object": "balance", "available": entries, "livemode": False, "pending": nothing}


def nothing(sim: "Simulator", request: Request) -> Obj:
    """Lists that are always empty here."""
    return empty_list(request.path)


def _account(sim: "Simulator") -> Obj:
    found = next(sim.store.all("account"), None)
    if found is not None:
        return found
    account = new(
        "account",
        id=new_id("acct_", 16),
        business_profile={"name": "Simulated shop", "url": None, "support_email": None, "mcc": None},
        business_type="company",
        capabilities={"card_payments": "active", "transfers": "active"},
        charges_enabled=True,
        controller={"type": "account"},
        country="US",
        created=sim.clock.now(),
        default_currency="usd",
        details_submitted=True,
        email="shop@example.com",
        metadata={},
        payouts_enabled=True,
        settings={
            "branding": {"icon": None, "logo": None, "primary_color": None, "secondary_color": None},
            "card_payments": {"decline_on": None, "statement_descriptor_prefix": None},
            "dashboard": {"display_name": "Simulated shop", "timezone": "Etc/UTC"},
            "payments": {"statement_descriptor": "SIMULATED SHOP"},
        },
        type="standard",
    )
    for absent in [key for key, value in account.items() if value is None]:
        del account[absent]
    return sim.save(account)
