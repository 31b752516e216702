"""Two answers where Django has none for a customer: a button's address opened as a page, and what the demo has not."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import render


class ButtonsOnlyMiddleware:
    """Who comes to such an address by a link, a reload or the browser's history reads what to do."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        is_page = request.method == "GET" and request.accepts("text/html")
        if not is_page or not isinstance(response, HttpResponseNotAllowed) or response.content:
            return response
        page = render(request, "405.html", status=405)
        page["Allow"] = response["Allow"]
        return page


class DemoNotFoundMiddleware:
    """In the demo a page that is not there looks as it would when sold, though DEBUG is on.

    With DEMO=0 the page of Django for developers is back.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if settings.DEMO and isinstance(exception, Http404):
            return render(request, "404.html", status=404)
        return None


def nowhere(request: HttpRequest) -> HttpResponse:
    """Where every address leads that leads nowhere."""
    raise Http404
