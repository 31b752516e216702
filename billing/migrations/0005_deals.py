"""Enquiries, offers and codes."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import billing.models.deals


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0004_leaving"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="checkoutintent",
            name="currency",
            field=models.CharField(blank=True, max_length=3),
        ),
        migrations.AddField(
            model_name="checkoutintent",
            name="promotion_code",
            field=models.CharField(blank=True, max_length=64),
        ),
        migrations.AddField(
            model_name="subscription",
            name="discounts",
            field=models.JSONField(blank=True, default=list),
        ),
        migrations.CreateModel(
            name="Enquiry",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=150)),
                ("email", models.EmailField(max_length=254)),
                ("company", models.CharField(blank=True, max_length=150)),
                ("plan_key", models.CharField(blank=True, max_length=60)),
                ("seats", models.PositiveIntegerField(blank=True, null=True)),
                ("message", models.TextField(max_length=4000)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("new", "New"),
                            ("talking", "We are talking"),
                            ("offered", "An offer was made"),
                            ("won", "Won"),
                            ("lost", "Lost"),
                            ("spam", "Not meant seriously"),
                        ],
                        default="new",
                        max_length=8,
                    ),
                ),
                ("note", models.TextField(blank=True, max_length=4000)),
                ("created_at", models.DateTimeField()),
                (
                    "account",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="enquiries",
                        to="accounts.account",
                    ),
                ),
                (
                    "handled_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "enquiries",
            },
        ),
        migrations.CreateModel(
            name="Offer",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("plan_key", models.CharField(max_length=60)),
                ("seats", models.PositiveIntegerField(default=1)),
                (
                    "interval",
                    models.CharField(
                        choices=[("month", "month"), ("year", "year")], default="year", max_length=5
                    ),
                ),
                ("amount", models.BigIntegerField(blank=True, null=True)),
                ("lookup_key", models.CharField(blank=True, max_length=120)),
                ("currency", models.CharField(max_length=3)),
                ("overrides", models.JSONField(blank=True, default=dict)),
                ("periods", models.PositiveSmallIntegerField(blank=True, null=True)),
                ("trial_days", models.PositiveSmallIntegerField(default=0)),
                ("days_until_due", models.PositiveSmallIntegerField(default=30)),
                ("terms", models.TextField(blank=True, max_length=4000)),
                (
                    "state",
                    models.CharField(
                        choices=[("open", "Open"), ("accepted", "Accepted"), ("withdrawn", "Withdrawn")],
                        default="open",
                        max_length=9,
                    ),
                ),
                ("recipient", models.EmailField(max_length=254)),
                (
                    "nonce",
                    models.CharField(default=billing.models.deals.new_nonce, max_length=24, unique=True),
                ),
                ("open_until", models.DateTimeField()),
                ("created_at", models.DateTimeField()),
                ("accepted_at", models.DateTimeField(blank=True, null=True)),
                ("accepted_name", models.CharField(blank=True, max_length=150)),
                ("accepted_email", models.EmailField(blank=True, max_length=254)),
                ("until", models.DateTimeField(blank=True, null=True)),
                ("stripe_subscription_id", models.CharField(blank=True, max_length=64)),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="offers",
                        to="accounts.account",
                    ),
                ),
                (
                    "enquiry",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="offers",
                        to="billing.enquiry",
                    ),
                ),
                (
                    "made_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.AddField(
            model_name="subscription",
            name="offer",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="subscriptions",
                to="billing.offer",
            ),
        ),
        migrations.AddIndex(
            model_name="enquiry",
            index=models.Index(fields=["state", "-created_at"], name="enquiries_waiting"),
        ),
        migrations.AddIndex(
            model_name="offer",
            index=models.Index(fields=["state", "-created_at"], name="offers_waiting"),
        ),
        migrations.AddConstraint(
            model_name="offer",
            constraint=models.CheckConstraint(
                condition=models.Q(("seats__gte", 1)), name="an_offer_has_a_seat"
            ),
        ),
        migrations.AddConstraint(
            model_name="offer",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("amount__isnull", True), ("lookup_key__gt", "")),
                    ("amount__gt", 0),
                    _connector="OR",
                ),
                name="an_offer_has_a_price",
            ),
        ),
    ]
