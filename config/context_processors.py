"""What every page may know about the site itself."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest

# The people `seed_demo` makes; their password is "tallyhouse".
DEMO_LOGINS = ("ada@example.com", "mia@example.com", "dana@example.com")


def site(request: HttpRequest) -> dict[str, Any]:
    """The site's name, whether this is the embedded demo, and who can sign in there."""
    return {
        "SITE_NAME": settings.SITE_NAME,
        "DEMO": settings.DEMO,
        "demo_logins": DEMO_LOGINS if settings.DEMO else (),
    }
