"""The card fields, and what people typed into them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from simulator.pages.html import esc, test_cards


class Incomplete(ValueError):
    """A field that cannot be read; `field` is its id, the text says what to write there."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


@dataclass(frozen=True)
class Typed:
    """A card as typed: digits only."""

    number: str
    exp_month: int
    exp_year: int
    cvc: str

    def as_card(self) -> dict[str, str | int]:
        """As the hosted verbs take it."""
        return {
            "number": self.number,
            "exp_month": self.exp_month,
            "exp_year": self.exp_year,
            "cvc": self.cvc,
        }


def read(given: dict[str, str]) -> Typed:
    """The card in a submitted form. Raises `Incomplete`."""
    number = re.sub(r"[\s-]", "", given.get("number", ""))
    if not re.fullmatch(r"\d{12,19}", number):
        raise Incomplete("number", "Your card number is incomplete. Write all its digits.")
    expiry = re.fullmatch(r"\s*(\d{1,2})\s*[/.-]?\s*(\d{4}|\d{2})\s*", given.get("expiry", ""))
    if expiry is None or not 1 <= int(expiry[1]) <= 12:
        raise Incomplete("expiry", "Your card's expiry date is incomplete. Write it as MM / YY.")
    if not re.fullmatch(r"\s*\d{3,4}\s*", given.get("cvc", "")):
        raise Incomplete(
            "cvc", "Your card's security code is incomplete. It is the three or four digits on the card."
        )
    year = int(expiry[2])
    return Typed(number, int(expiry[1]), year + 2000 if year < 100 else year, given["cvc"].strip())


def fields(given: dict[str, str], *, wrong: str | None = None, required: bool = True) -> str:
    """The four inputs, filled with what was typed but the secret; `wrong` is the id of the one to blame."""

    def field(name: str, label: str, hint: str, auto: str, mode: str, value: str = "") -> str:
        blame = ' aria-invalid="true" aria-describedby="trouble"' if wrong == name else ""
        must = " required" if required else ""
        return (
            f'<div><label for="{name}">{label}</label><input class="in" id="{name}" name="{name}" '
            f'autocomplete="{auto}" inputmode="{mode}" placeholder="{hint}" value="{esc(value)}"'
            f"{must}{blame}></div>"
        )

    return (
        '<fieldset class="stack"><legend>Card</legend>'
        + field(
            "number", "Card number", "4242 4242 4242 4242", "cc-number", "numeric", given.get("number", "")
        )
        + '<div class="pair">'
        + field("expiry", "Expiry (MM / YY)", "12 / 34", "cc-exp", "numeric", given.get("expiry", ""))
        + field("cvc", "Security code (CVC)", "123", "cc-csc", "numeric")
        + "</div>"
        + field("cardholder", "Name on card", "", "cc-name", "text", given.get("cardholder", "")).replace(
            " required", ""
        )
        + "</fieldset>"
        + test_cards()
    )
