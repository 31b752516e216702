"""What every page may know about the site itself."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest


def site(request: HttpRequest) -> dict[str, Any]:
    """The site's name and whether this is the embedded demo."""
    return {"SITE_NAME": settings.SITE_NAME, "DEMO": settings.DEMO}
