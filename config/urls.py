"""The whole map of the site on one screen."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from config import health, mailbox

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("accounts.urls")),
    path("", include("billing.urls")),
    path("", include("usage.urls")),
    path("demo/mailbox/", mailbox.mailbox, name="demo_mailbox"),
    path("login/", include("allauth.urls")),
    path("staff/", admin.site.urls),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
]
