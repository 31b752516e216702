"""What a receipt promised, sealed: for one person and account, for ten minutes, used once."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from django.core import signing

from accounts.models import Account, User
from billing.changes.refusals import Expired, NotYours

SALT = "billing.changes.receipt"
GOOD_FOR = timedelta(minutes=10)


@dataclass(frozen=True)
class Promise:
    """What was shown. Amounts in minor units; `prorated_at` in Unix seconds of the account's time."""

    subscription: str
    from_price: str
    from_quantity: int
    to_price: str
    to_quantity: int
    due: int
    currency: str
    prorated_at: int
    # Of every period from then on.
    recurring: int = 0
    # Single use: the row that is made of it is named so.
    nonce: str = ""


def seal(promise: Promise, *, account: Account, user: User, wall: datetime) -> str:
    """The token of a receipt. `wall` is everybody's time, at which it was shown."""
    kept = {**asdict(promise), "nonce": promise.nonce or uuid.uuid4().hex}
    return signing.dumps(
        {"p": kept, "a": str(account.pk), "u": user.pk, "w": int(wall.timestamp())}, salt=SALT, compress=True
    )


def unseal(token: str, *, account: Account, user: User) -> tuple[Promise, datetime]:
    """The promise and when it was made. Raises NotYours for a token of somebody else, or no token of ours."""
    try:
        kept = signing.loads(token, salt=SALT)
    except signing.BadSignature as error:
        raise NotYours from error
    if kept["a"] != str(account.pk) or kept["u"] != user.pk:
        raise NotYours
    made = datetime.fromtimestamp(kept["w"], tz=UTC)
    return Promise(**kept["p"]), made


def check_age(made: datetime, *, wall: datetime) -> None:
    """Raises Expired after ten minutes: what is left of the period is worth less by then."""
    if wall - made > GOOD_FOR:
        raise Expired(
            f"The amount was good for {GOOD_FOR.seconds // 60} minutes. Here it is anew; nothing was charged."
        )
