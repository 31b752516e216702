"""The front door: visitors see the price list, customers what they have left."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect


def home(request: HttpRequest) -> HttpResponse:
    """Send each to the page they came for."""
    return redirect("usage:overview" if request.user.is_authenticated else "billing:pricing")
