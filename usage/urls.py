"""The pages of the room `usage`, and the API."""

from django.urls import URLPattern, URLResolver, path

from usage import views
from usage.api import api
from usage.views import alerts, budgets, explaining, log

app_name = "usage"
urlpatterns: list[URLPattern | URLResolver] = [
    path("usage/", views.overview, name="overview"),
    path("usage/log/", log.overview, name="log"),
    path("usage/log.csv", log.export, name="export"),
    path("usage/alerts/", alerts.overview, name="alerts"),
    path("usage/budgets/", budgets.overview, name="budgets"),
    path("usage/budgets/set/", budgets.set_budget, name="set_budget"),
    path("usage/budgets/clear/", budgets.clear_budget, name="clear_budget"),
    path("usage/budgets/members/set/", budgets.set_member_budget, name="set_member_budget"),
    path("usage/budgets/members/clear/", budgets.clear_member_budget, name="clear_member_budget"),
    path("staff/explain/<uuid:account_id>/", explaining.explain, name="explain"),
    path("demo/generate/", views.demo, name="demo"),
    path("api/v1/docs/", views.api_description, name="api_description"),
    path("api/v1/", api.urls),
]
