"""The pages of the room `billing`, and the letter box Stripe writes to."""

from django.urls import URLPattern, URLResolver, path

from billing import webhooks
from billing.views import (
    changes,
    codes,
    contact,
    credits,
    demo,
    home,
    leaving,
    offers,
    pricing,
    seats,
    settings,
    tax,
    trial,
    upgrade,
)

app_name = "billing"
urlpatterns: list[URLPattern | URLResolver] = [
    path("", home.home, name="home"),
    path("pricing/", pricing.pricing_page, name="pricing"),
    path("contact/", contact.contact, name="contact"),
    path("contact/done/", contact.contacted, name="contacted"),
    path("code/<slug:code>/", codes.bring, name="bring_code"),
    path("billing/details/", tax.details, name="details"),
    path("billing/details/tax-id/", tax.add_tax_id, name="add_tax_id"),
    path("billing/details/tax-id/remove/", tax.remove_tax_id, name="remove_tax_id"),
    path("billing/code/", codes.use, name="use_code"),
    path("offer/<str:token>/", offers.offer, name="offer"),
    path("billing/", settings.overview, name="settings"),
    path("billing/upgrade/", upgrade.upgrade, name="upgrade"),
    path("billing/upgraded/", upgrade.upgraded, name="upgraded"),
    path("billing/checkout-canceled/", upgrade.canceled, name="canceled"),
    path("billing/seats/", seats.overview, name="seats"),
    path("billing/change/", changes.review, name="change"),
    path("billing/change/<int:pk>/", changes.outcome, name="change_outcome"),
    path("billing/change/<int:pk>/take-back/", changes.take_back, name="take_back"),
    path("billing/cancel/", leaving.cancel, name="cancel"),
    path("billing/pause/", leaving.pause, name="pause"),
    path("billing/go-on/", leaving.go_on, name="go_on"),
    path("billing/money-back/", leaving.money_back, name="money_back"),
    path("withdraw/", leaving.withdraw, name="withdraw"),
    path("withdraw/done/", leaving.withdrawn, name="withdrawn"),
    path("billing/end/", settings.end_now, name="end_now"),
    path("billing/start/", trial.start, name="start"),
    path("billing/resume/", settings.resume, name="resume"),
    path("billing/credits/", credits.overview, name="credits"),
    path("billing/credits/buy/", credits.buy, name="buy_pack"),
    path("billing/credits/bought/", credits.bought, name="pack_bought"),
    path("billing/portal/", settings.portal, name="portal"),
    path("billing/returned/", settings.returned, name="returned"),
    path("demo/fast-forward/", demo.fast_forward, name="fast_forward"),
    path("stripe/webhook/", webhooks.receive, name="webhook"),
]
