"""Changes of plan and seats, and those that wait for the period's end."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0002_credits"),
        ("accounts", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="PlanChange",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("nonce", models.CharField(max_length=40, unique=True)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("started", "Sent to Stripe"),
                            ("waiting", "Waits for the payment to be confirmed"),
                            ("scheduled", "Will happen at the period's end"),
                            ("done", "Done"),
                            ("failed", "Did not happen"),
                            ("undone", "Taken back before it happened"),
                        ],
                        default="started",
                        max_length=10,
                    ),
                ),
                ("is_later", models.BooleanField(default=False)),
                ("stripe_subscription_id", models.CharField(db_index=True, max_length=64)),
                ("from_plan_key", models.CharField(max_length=60)),
                ("from_price", models.CharField(max_length=120)),
                ("from_quantity", models.PositiveIntegerField()),
                ("to_plan_key", models.CharField(max_length=60)),
                ("to_price", models.CharField(max_length=120)),
                ("to_quantity", models.PositiveIntegerField()),
                ("shown_amount", models.BigIntegerField()),
                ("shown_recurring", models.BigIntegerField(blank=True, null=True)),
                ("currency", models.CharField(max_length=3)),
                ("takes_effect_at", models.DateTimeField()),
                ("stripe_invoice_id", models.CharField(blank=True, max_length=64)),
                ("invoice_url", models.URLField(blank=True, max_length=500)),
                ("stripe_schedule_id", models.CharField(blank=True, max_length=64)),
                ("failure", models.CharField(blank=True, max_length=300)),
                ("created_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="plan_changes",
                        to="accounts.account",
                    ),
                ),
                (
                    "started_by",
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
                "indexes": [models.Index(fields=["account", "-created_at"], name="changes_of_account")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state", "scheduled")),
                        fields=("account",),
                        name="one_scheduled_change_per_account",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("state", "waiting")),
                        fields=("account",),
                        name="one_change_waiting_for_payment_per_account",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("shown_amount__gte", 0)),
                        name="a_change_never_shows_less_than_nothing_due",
                    ),
                ],
            },
        ),
    ]
