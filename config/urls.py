"""The whole map of the site on one screen."""

from allauth.account.decorators import secure_admin_login
from django.conf import settings
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path, re_path

from config import health, mailbox, middleware, operations

# Staff log in where everybody does: by second factor, and with a limit to guessing. Django's own page has neither.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("accounts.urls")),
    path("", include("billing.urls")),
    path("", include("usage.urls")),
    path("demo/mailbox/", mailbox.mailbox, name="demo_mailbox"),
    path("login/", include("allauth.urls")),
    path("staff/operations/", operations.operations, name="operations"),
    path("staff/", admin.site.urls),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
]
if settings.DEMO:
    # Last: it takes whatever is left, so that the demo shows its own page for it. Programs are answered as ever.
    urlpatterns.append(re_path(r"^(?!api/|static/|stripe/).*/$", middleware.nowhere))
