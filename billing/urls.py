"""The pages of the room `billing`, and the letter box Stripe writes to."""

from django.urls import URLPattern, URLResolver, path

from billing import webhooks
from billing.views import demo, home, pricing, settings, upgrade

app_name = "billing"
urlpatterns: list[URLPattern | URLResolver] = [
    path("", home.home, name="home"),
    path("pricing/", pricing.pricing_page, name="pricing"),
    path("billing/", settings.overview, name="settings"),
    path("billing/upgrade/", upgrade.upgrade, name="upgrade"),
    path("billing/upgraded/", upgrade.upgraded, name="upgraded"),
    path("billing/checkout-canceled/", upgrade.canceled, name="canceled"),
    path("billing/cancel/", settings.cancel, name="cancel"),
    path("billing/end/", settings.end_now, name="end_now"),
    path("billing/resume/", settings.resume, name="resume"),
    path("billing/portal/", settings.portal, name="portal"),
    path("billing/returned/", settings.returned, name="returned"),
    path("demo/fast-forward/", demo.fast_forward, name="fast_forward"),
    path("stripe/webhook/", webhooks.receive, name="webhook"),
]
