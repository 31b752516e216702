"""The API described for people."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from usage.api.description import description


@require_GET
def api_description(request: HttpRequest) -> HttpResponse:
    """The API's documentation, from the same schema as /api/v1/openapi.json, without a script."""
    return render(request, "usage/api_description.html", {"api": description()})
