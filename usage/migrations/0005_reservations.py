"""Units held before the work and settled after it."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import F, Q


class Migration(migrations.Migration):
    dependencies = [
        ("usage", "0004_sources"),
        ("accounts", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Reservation",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("feature", models.CharField(max_length=60)),
                ("units", models.BigIntegerField()),
                ("credited", models.BigIntegerField(default=0)),
                ("billed", models.BigIntegerField(default=0)),
                ("idempotency_key", models.CharField(max_length=200)),
                ("period_start", models.DateTimeField()),
                ("held_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("held", "Held"),
                            ("settled", "Settled"),
                            ("released", "Released"),
                            ("expired", "Expired"),
                        ],
                        default="held",
                        max_length=8,
                    ),
                ),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("settled_units", models.BigIntegerField(blank=True, null=True)),
                ("ledger_key", models.CharField(max_length=200)),
                ("record_id", models.BigIntegerField(blank=True, null=True)),
                (
                    "account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.account",
                    ),
                ),
                (
                    "api_key",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="accounts.apikey",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=["account", "idempotency_key"], name="one_reservation_per_idempotency_key"
                    ),
                    models.CheckConstraint(
                        condition=Q(
                            billed__gte=0, credited__gte=0, units__gt=0
                        ) & Q(units__gte=F("credited") + F("billed")),
                        name="a_reservation_holds_what_its_sources_give",
                    ),
                    models.CheckConstraint(
                        condition=Q(state="settled", record_id__isnull=False)
                        | (~Q(state="settled") & Q(record_id__isnull=True)),
                        name="a_settled_reservation_has_its_record",
                    ),
                ],
                "indexes": [
                    models.Index(
                        condition=Q(state="held"),
                        fields=["account", "feature", "expires_at"],
                        name="reservations_held",
                    )
                ],
            },
        ),
    ]
