"""Every error of the API as one shape (RFC 9457): a stable code for the program, a sentence for its author."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, NoReturn

import structlog
from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from usage import metering
from usage.api.json import as_json

log = structlog.get_logger(__name__)


class Problem(Exception):
    """An answer other than success. `code` is stable; `detail` says what happened and what to do next."""

    def __init__(
        self, status: int, code: str, detail: str, *, headers: dict[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.more = status, code, detail, more
        self.headers = headers or {}


def not_found(detail: str = "There is nothing here that you may see. Check the id and the key.") -> NoReturn:
    """The same answer for what does not exist and for what belongs to someone else."""
    raise Problem(404, "not_found", detail)


def install(api: NinjaAPI) -> None:
    """Teach `api` to answer every exception as a problem."""
    handlers: dict[type[Exception], Any] = {
        Problem: _problem,
        metering.AllowanceExhausted: _refused,
        metering.FeatureNotIncluded: _refused,
        metering.UnknownFeature: lambda request, error: answer(404, "not_found", str(error)),
        metering.InvalidUnits: lambda request, error: answer(400, "invalid_units", str(error)),
        metering.InvalidKey: lambda request, error: answer(400, "invalid_idempotency_key", str(error)),
        metering.IdempotencyConflict: lambda request, error: answer(409, "idempotency_conflict", str(error)),
        metering.CheckFailed: _check_failed,
        AuthenticationError: _unauthorized,
        ValidationError: _invalid,
        HttpError: _http_error,
        RequestDataTooBig: lambda request, error: answer(413, *_ELSEWHERE[413]),
        Http404: lambda request, error: answer(404, "not_found", "There is nothing at this address."),
        Exception: _unexpected,
    }
    for kind, handler in handlers.items():
        api.add_exception_handler(kind, handler)


def answer(status: int, code: str, detail: str, **more: Any) -> HttpResponse:
    """A problem+json response; `more` are members of its own, for programs."""
    body = {
        "type": f"urn:tallyhouse:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        **more,
    }
    response = HttpResponse(as_json(body), status=status, content_type="application/problem+json")
    response["Cache-Control"] = "no-store"
    return response


def _problem(request: HttpRequest, error: Problem) -> HttpResponse:
    response = answer(error.status, error.code, error.detail, **error.more)
    for name, value in error.headers.items():
        response[name] = value
    return response


def nothing_here() -> HttpResponse:
    """No such address."""
    return answer(404, *_ELSEWHERE[404])


def from_elsewhere(response: HttpResponse) -> HttpResponse:
    """An answer that Django itself gave below /api/, in the shape of all the others."""
    if response.status_code < 400 or response.get("Content-Type", "").startswith("application/problem+json"):
        return response
    if response.status_code == 405:
        allowed = response.get("Allow", "")
        found = answer(405, "method_not_allowed", f"This address answers {allowed or 'other methods'} only.")
        found["Allow"] = allowed
        return found
    code, detail = _ELSEWHERE.get(
        response.status_code,
        ("error", f"{response.reason_phrase}. The API's description is at /api/v1/docs/."),
    )
    return answer(response.status_code, code, detail)


_ELSEWHERE = {
    400: ("invalid_request", "The request could not be read. Send JSON as described at /api/v1/docs/."),
    403: ("forbidden", "A session's call needs its CSRF token, as the header X-CSRFToken."),
    404: ("not_found", "There is nothing at this address. The API's description is at /api/v1/docs/."),
    413: ("too_large", "The request is larger than 1 MB. Send fewer lines in a batch."),
    500: ("internal_error", "Something went wrong on our side. Try again with the same key."),
}


def _refused(request: HttpRequest, error: metering.Refused) -> HttpResponse:
    exhausted = isinstance(error, metering.AllowanceExhausted)
    response = answer(
        402 if exhausted else 403,
        "allowance_exhausted" if exhausted else "feature_not_included",
        str(error),
        feature=error.feature,
        reason=error.reason,
        used=error.used,
        reserved=error.reserved,
        limit=error.limit,
        remaining=error.remaining,
        comes_back_at=error.comes_back_at,
        upgrade_url=error.upgrade_url,
    )
    if exhausted and error.comes_back_at is not None:
        response["X-Quota-Limit"] = str(error.limit)
        response["X-Quota-Remaining"] = str(error.remaining)
        response["X-Quota-Reset"] = str(int(error.comes_back_at.timestamp()))
    return response


def _check_failed(request: HttpRequest, error: metering.CheckFailed) -> HttpResponse:
    log.error("usage_check_failed", cause=repr(error.__cause__))
    response = answer(503, "check_failed", str(error))
    response["Retry-After"] = "1"
    return response


def _unauthorized(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    response = answer(
        401,
        "unauthorized",
        "Send a key that is in force as `Authorization: Bearer th_…`, or log in. Keys that were revoked or have "
        "expired are refused.",
    )
    response["WWW-Authenticate"] = 'Bearer realm="api"'
    return response


def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    faults = [{"where": _where(fault["loc"]), "message": fault["msg"]} for fault in error.errors]
    said = "; ".join(f"{fault['where']}: {fault['message']}" for fault in faults)
    return answer(400, "invalid_request", f"The request is not as documented. {said}.", errors=faults)


def _where(location: tuple[str | int, ...]) -> str:
    # Ninja names the view's own parameter too: body.body.feature.
    parts = [str(part) for part in location]
    return ".".join(parts[:1] + parts[2:] if parts[:2] == ["body", "body"] else parts)


def _http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    codes = {400: "invalid_request", 401: "unauthorized", 403: "forbidden", 404: "not_found"}
    return answer(
        error.status_code, codes.get(error.status_code, "error"), str(error).removesuffix(".") + "."
    )


def _unexpected(request: HttpRequest, error: Exception) -> HttpResponse:
    # What is not understood is not let through, and its inside is for the log only.
    log.exception("api_failed", exc_info=error)
    return answer(500, "internal_error", "Something went wrong on our side. Try again with the same key.")
