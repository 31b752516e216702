"""Who wants to talk, and the offers made: staff write the price here, and the link leaves by mail."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.models import Account, User
from billing import bought, catalog, clock, money
from billing.admin.grants import checked_overrides
from billing.admin.read_only import ReadOnlyAdmin
from billing.deals import agreed, offers, place
from billing.models import Enquiry, Offer

OPEN_FOR = timedelta(days=30)
ON_HOLD = "{account} is on hold: nobody accepts the offer before that ends (Customers: Let go on, Forgive disputes)."
TAKES_THE_PLACE = (
    "A plan that it pays or tries already is replaced when the offer is accepted: what is paid and not used is "
    "credited on the first invoice, and no card is charged any more. The offer says so."
)


@admin.register(Enquiry)
class EnquiryAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "name", "company", "email", "plan_key", "seats", "state", "handled_by")
    list_filter = ("state", "plan_key")
    list_select_related = ("handled_by",)
    search_fields = ("name", "email", "company", "message")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    fields = (
        *("created_at", "name", "email", "company", "plan_key", "seats", "message", "account"),
        *("offer", "state", "note", "handled_by"),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Their words stay as they came; the state and a note are ours."""
        return tuple(name for name in self.fields if name not in ("state", "note"))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_act_permission(request)

    @admin.display(description="offer")
    def offer(self, enquiry: Enquiry) -> SafeString:
        made = enquiry.offers.order_by("-created_at").first()
        if made is not None:
            address = reverse("admin:billing_offer_change", args=[made.pk])
            return format_html('<a href="{}">{}</a>', address, made)
        asked = {
            "enquiry": enquiry.pk,
            "plan_key": enquiry.plan_key,
            "seats": enquiry.seats or 1,
            "recipient": enquiry.email,
            **({"account": enquiry.account_id} if enquiry.account_id else {}),
        }
        address = f"{reverse('admin:billing_offer_add')}?{urlencode(asked)}"
        return format_html('<a href="{}">Make an offer</a>', address)

    def save_model(self, request: HttpRequest, obj: Enquiry, form: Any, change: bool) -> None:
        assert isinstance(request.user, User)
        obj.handled_by = request.user
        obj.save(update_fields=["state", "note", "handled_by"])


class OfferForm(forms.ModelForm):  # type: ignore[type-arg]
    """A new offer. Saving it sends the link."""

    price = forms.DecimalField(
        required=False,
        help_text="Per seat and period, without tax. Empty: what the price list says for so many seats.",
    )

    class Meta:
        model = Offer
        fields = (
            *("account", "enquiry", "plan_key", "interval", "seats", "price", "periods", "days_until_due"),
            *("trial_days", "overrides", "terms", "open_until", "recipient"),
        )
        help_texts = {
            "account": TAKES_THE_PLACE,
            "seats": "1 for one price for everybody.",
            "periods": "How many months or years it runs. Empty: it renews until somebody cancels.",
            "days_until_due": "Days to pay an invoice.",
            "overrides": 'This contract\'s own numbers by feature: {"projects": 40}; null is unlimited.',
            "terms": "What is agreed besides; the customer reads it.",
            "open_until": "The last moment to accept it, in UTC.",
            "recipient": "The link goes here, at once. Whoever has it can accept.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        plans = [plan for plan in catalog.current().plans.values() if not plan.is_free]
        self.fields["plan_key"] = forms.ChoiceField(
            label="Plan", choices=[(plan.key, plan.name) for plan in plans]
        )
        self.fields["open_until"].initial = clock.wall() + OPEN_FOR
        self.fields["account"].help_text = _what_runs(self.initial.get("account")) or TAKES_THE_PLACE
        self.fields["price"].label = f"Price in {catalog.current().currency.upper()}"

    def clean_overrides(self) -> dict[str, int | None]:
        return checked_overrides(self.cleaned_data["overrides"])

    def clean_price(self) -> Decimal | None:
        price: Decimal | None = self.cleaned_data["price"]
        places = money.decimal_places(catalog.current().currency)
        if price is not None and price != round(price, places):
            raise ValidationError(f"At most {places} digits behind the point.")
        return price

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if not self.errors:
            account = self.cleaned_data["account"]
            try:
                # Looked at as it will be made; nothing is written or sent yet.
                offers.check(**self.wanted(), now=clock.now(account))
            except offers.BadOffer as refusal:
                raise ValidationError(str(refusal)) from None
        return cleaned

    def wanted(self) -> dict[str, Any]:
        """The arguments of `offers.make`."""
        given = {key: value for key, value in self.cleaned_data.items() if key != "price"}
        price: Decimal | None = self.cleaned_data["price"]
        places = money.decimal_places(catalog.current().currency)
        amount = None if price is None else int(price.scaleb(places))
        return {**given, "trial_days": given["trial_days"] or 0, "amount": amount}

    def _post_clean(self) -> None:
        """The row is made by `offers.make`, so what only it knows is not missed here."""


@admin.register(Offer)
class OfferAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = (
        "created_at",
        "account",
        "plan_key",
        "seats",
        "per_period",
        "state",
        "open_until",
        "accepted_at",
        "accepted_name",
        "stripe_subscription_id",
        "until",
    )
    list_filter = ("state", "plan_key", "interval")
    list_select_related = ("account",)
    search_fields = ("account__name", "=account__id", "recipient", "accepted_email")
    autocomplete_fields = ("account", "enquiry")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    actions = ("take_back", "send_again")
    show_full_result_count = False

    def get_form(
        self, request: HttpRequest, obj: Offer | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        if obj is None:
            kwargs["form"] = OfferForm
        return super().get_form(request, obj, change, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Offer | None = None) -> Any:
        return OfferForm.Meta.fields if obj is None else self.get_readonly_fields(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Offer | None = None) -> tuple[str, ...]:
        """What was offered stays as it was; another price is another offer."""
        if obj is None:
            return ()
        return (
            *("account", "enquiry", "plan_key", "interval", "seats", "per_period", "periods"),
            *("days_until_due", "trial_days", "overrides", "terms", "state", "place", "link", "open_until"),
            *("recipient", "made_by", "created_at", "accepted_at", "accepted_name", "accepted_email"),
            *("until", "stripe_subscription_id"),
        )

    @admin.display(description="per period")
    def per_period(self, offer: Offer) -> str:
        return f"{money.text(agreed.total(offer), offer.currency)} a {offer.interval}"

    @admin.display(description="besides")
    def place(self, offer: Offer) -> str:
        return place.words(offer) or "–"

    @admin.display(description="link")
    def link(self, offer: Offer) -> str:
        return offers.link(offer)

    def save_model(self, request: HttpRequest, obj: Offer, form: Any, change: bool) -> None:
        if change:
            return
        assert isinstance(request.user, User)
        made = offers.make(**form.wanted(), now=clock.now(form.cleaned_data["account"]), by=request.user)
        # The form's own row was never filled in, and Django's message names it.
        obj.pk, obj.created_at = made.pk, made.created_at
        obj.account, obj.plan_key = made.account, made.plan_key
        if place.is_on_hold(made.account):
            self.message_user(request, ON_HOLD.format(account=made.account), messages.WARNING)
        if said := place.words(made):
            self.message_user(request, f"The customer reads: {said}", messages.WARNING)

    @admin.action(description="Take back", permissions=["change"])
    def take_back(self, request: HttpRequest, queryset: QuerySet[Offer]) -> None:
        for offer in queryset:
            if offers.withdraw(offer=offer):
                self.log_change(request, offer, "Taken back")
            else:
                self.message_user(request, f"{offer}: too late, it is not open.", messages.WARNING)

    @admin.action(description="Send with a new link", permissions=["change"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[Offer]) -> None:
        for offer in queryset.filter(state=Offer.State.OPEN):
            offers.send_again(offer=offer, now=clock.now(offer.account))
            self.log_change(request, offer, "Sent with a new link")
        self.message_user(request, "Sent. The links before do not work any more.")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def _what_runs(account_id: Any) -> str:
    """About an account that is filled in already, as from an enquiry."""
    try:
        account = Account.objects.filter(pk=account_id).first() if account_id else None
    except ValidationError:  # somebody wrote into the address
        return ""
    runs = place.running(account) if account else None
    return f"It has {bought.name(runs)} now. {TAKES_THE_PLACE}" if runs else ""
