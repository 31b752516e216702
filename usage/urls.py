"""The pages of the room `usage`."""

from django.urls import URLPattern, URLResolver

app_name = "usage"
urlpatterns: list[URLPattern | URLResolver] = []
