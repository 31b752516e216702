"""The pages of the room `usage`, and the API."""

from django.urls import URLPattern, URLResolver, path

from usage import views
from usage.api import api

app_name = "usage"
urlpatterns: list[URLPattern | URLResolver] = [
    path("usage/", views.overview, name="overview"),
    path("demo/generate/", views.demo, name="demo"),
    path("api/v1/docs/", views.api_description, name="api_description"),
    path("api/v1/", api.urls),
]
