"""A Stripe that knows a catalog: pushed once by the command that production uses, remembered for the tests after."""

import pickle
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.management import call_command

from billing import catalog

if TYPE_CHECKING:
    from simulator.core import Simulator

# By what a push depends on: the price list's text and the address that pages of Stripe's lead back to.
_remembered: dict[tuple[str, str], bytes] = {}


def push_catalog(simulator: "Simulator") -> None:
    """Bring the current catalog to this Stripe; one that is empty gets what the first push left, at once."""
    if any(shelf.rows for shelf in simulator.store.shelves.values()):
        call_command("sync_catalog", verbosity=0)
        return
    key = (catalog.file_of(settings.BILLING_CATALOG).read_text(), settings.BASE_URL)
    if key not in _remembered:
        call_command("sync_catalog", verbosity=0)
        with simulator.lock:
            _remembered[key] = pickle.dumps((simulator.store.shelves, simulator.store.facts))
        return
    with simulator.lock:
        simulator.store.shelves, simulator.store.facts = pickle.loads(_remembered[key])
        simulator.agenda.refill()
