"""The whole map of the site on one screen."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("accounts.urls")),
    path("", include("billing.urls")),
    path("", include("usage.urls")),
    path("login/", include("allauth.urls")),
    path("staff/", admin.site.urls),
]

