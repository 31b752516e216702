"""Units bought ahead or given by staff: put in once per fact, drawn in a fixed order, never below zero.

`give` and the staff's acts are whole transactions; `take`, `put_back` and `keep` belong to the transaction that counts.
Whatever adds units has the account's counters ask again; what only draws them does not, as whoever draws is asking.
Locks are taken in one order everywhere: the counter, the account's Customer row, the grants.
"""

from billing.credits.balances import Balance, balances, left
from billing.credits.correcting import correct, expire, set_refunded
from billing.credits.drawing import NotInATransaction, keep, put_back, take
from billing.credits.giving import MOST_UNITS, BadCredits, give

__all__ = [
    "MOST_UNITS",
    "BadCredits",
    "Balance",
    "NotInATransaction",
    "balances",
    "correct",
    "expire",
    "give",
    "keep",
    "left",
    "put_back",
    "set_refunded",
    "take",
]
