"""The ways Stripe says no: one exception, and a verb for each kind of refusal."""

from typing import Any


class StripeError(Exception):
    """An answer other than 200, with Stripe's error body (docs.stripe.com/api/errors)."""

    def __init__(self, status: int, kind: str, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.facts = {name: value for name, value in facts.items() if value is not None}

    def body(self, request_id: str) -> dict[str, Any]:
        """The JSON body Stripe would send."""
        error: dict[str, Any] = {"type": self.kind, "message": self.message, **self.facts}
        code = self.facts.get("code")
        if code:
            error["doc_url"] = "https://docs.stripe.com/error-codes/" + str(code).replace("_", "-")
        error["request_log_url"] = f"https://dashboard.stripe.com/test/logs/{request_id}"
        return {"error": error}


def invalid(message: str, *, param: str | None = None, code: str | None = None) -> StripeError:
    """400: the request cannot be done as asked."""
    return StripeError(400, "invalid_request_error", message, param=param, code=code)


def missing_param(param: str) -> StripeError:
    """400: a parameter that must be there is not."""
    return invalid(f"Missing required param: {param}.", param=param, code="parameter_missing")


def no_such(kind: str, wanted: str, *, param: str = "id", status: int = 404) -> StripeError:
    """404 for the object in the path, 400 for one named in a parameter."""
    noun = {"payment_method": "PaymentMethod"}.get(kind, kind.split(".")[-1])
    facts = {"param": param, "code": "resource_missing"}
    return StripeError(status, "invalid_request_error", f"No such {noun}: '{wanted}'", **facts)


def unauthorized(message: str) -> StripeError:
    """401: no key, or one that is not a key."""
    return StripeError(401, "invalid_request_error", message)


def key_reused(message: str) -> StripeError:
    """400: an idempotency key came back with other parameters."""
    return StripeError(400, "idempotency_error", message)


def card(message: str, code: str, decline_code: str | None = None, **facts: Any) -> StripeError:
    """402: the bank, or the lack of a card, refused."""
    return StripeError(402, "card_error", message, code=code, decline_code=decline_code, **facts)
