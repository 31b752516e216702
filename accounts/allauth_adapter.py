"""Our wishes to django-allauth: an account at sign-up, our name in its letters, sealed TOTP secrets."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme

from accounts import members, sealing
from accounts.forms import one_line
from accounts.models import User


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    def save_user(self, request: HttpRequest, user: User, form: Any, commit: bool = True) -> User:
        """A person and their personal account come into being together or not at all."""
        user.name = one_line(form.cleaned_data.get("name", ""))
        with transaction.atomic():
            super().save_user(request, user, form, commit=commit)
            if commit:
                members.open_personal_account(user=user, now=timezone.now())
        return user

    def is_safe_url(self, url: str | None) -> bool:
        """Redirects stay on the host that was asked; other hosts of ours are no exception."""
        return url_has_allowed_host_and_scheme(
            url, allowed_hosts={self.request.get_host()}, require_https=self.request.is_secure()
        )

    def get_reset_password_from_key_url(self, key: str) -> str:
        """On our own address, whatever the Host header of the request said."""
        return _on_our_address(super().get_reset_password_from_key_url(key))

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        return reverse("accounts:profile")

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Letters carry the site's name and address from the settings, not the request's."""
        ours = SimpleNamespace(name=settings.SITE_NAME, domain=settings.BASE_URL)
        context = {
            key: _on_our_address(value) if key.endswith("_url") else value for key, value in context.items()
        }
        super().send_mail(template_prefix, email, {"current_site": ours, **context})


class MFAAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """A copy of the database alone must not open anybody's second factor."""

    def encrypt(self, text: str) -> str:
        return sealing.seal(text, purpose="tallyhouse.mfa")

    def decrypt(self, encrypted_text: str) -> str:
        return sealing.unseal(encrypted_text, purpose="tallyhouse.mfa")


def _on_our_address(url: str) -> str:
    parts = urlsplit(url)
    return f"{settings.BASE_URL}{parts._replace(scheme='', netloc='').geturl()}"
