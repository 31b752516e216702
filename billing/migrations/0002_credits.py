"""Units bought ahead."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0001_initial"),
        ("accounts", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="CreditGrant",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("feature", models.CharField(max_length=60)),
                ("units", models.BigIntegerField()),
                ("remaining", models.BigIntegerField()),
                ("priority", models.IntegerField(default=100)),
                ("granted_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                (
                    "source",
                    models.CharField(
                        choices=[
                            ("purchase", "Bought"),
                            ("gift", "Given"),
                            ("refund", "Made good"),
                            ("correction", "Corrected"),
                        ],
                        max_length=10,
                    ),
                ),
                ("source_key", models.CharField(max_length=200, unique=True)),
                ("amount_paid", models.BigIntegerField(default=0)),
                ("currency", models.CharField(blank=True, max_length=3)),
                ("stripe_payment_intent_id", models.CharField(blank=True, db_index=True, max_length=64)),
                ("reason", models.CharField(blank=True, max_length=300)),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="credit_grants",
                        to="accounts.account",
                    ),
                ),
                (
                    "granted_by",
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
        migrations.CreateModel(
            name="CreditEntry",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("grant", "Added"),
                            ("burn", "Used"),
                            ("hold", "Held"),
                            ("release", "Back"),
                            ("refund", "Refunded"),
                            ("expire", "Expired"),
                            ("correct", "Corrected"),
                        ],
                        max_length=8,
                    ),
                ),
                ("units", models.BigIntegerField()),
                ("usage_record_id", models.BigIntegerField(blank=True, db_index=True, null=True)),
                ("reservation_id", models.BigIntegerField(blank=True, db_index=True, null=True)),
                ("at", models.DateTimeField()),
                ("reason", models.CharField(blank=True, max_length=300)),
                (
                    "by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "grant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="entries",
                        to="billing.creditgrant",
                    ),
                ),
            ],
            options={"verbose_name_plural": "credit entries"},
        ),
        migrations.AddIndex(
            model_name="creditgrant",
            index=models.Index(
                condition=models.Q(("remaining__gt", 0)),
                fields=["account", "feature", "priority"],
                name="credits_left",
            ),
        ),
        migrations.AddConstraint(
            model_name="creditgrant",
            constraint=models.CheckConstraint(
                condition=models.Q(("remaining__gte", 0), ("remaining__lte", models.F("units"))),
                name="credits_left_are_between_none_and_all",
            ),
        ),
        migrations.AddConstraint(
            model_name="creditgrant",
            constraint=models.CheckConstraint(
                condition=models.Q(("units__gt", 0)), name="a_credit_grant_has_units"
            ),
        ),
        migrations.AddConstraint(
            model_name="creditgrant",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("expires_at__isnull", True), ("expires_at__gt", models.F("granted_at")), _connector="OR"
                ),
                name="credits_end_after_they_begin",
            ),
        ),
        migrations.AddConstraint(
            model_name="creditgrant",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("source", "purchase"), models.Q(("reason", ""), _negated=True), _connector="OR"
                ),
                name="credits_given_have_a_reason",
            ),
        ),
        migrations.AddConstraint(
            model_name="creditentry",
            constraint=models.CheckConstraint(
                condition=models.Q(("units", 0), _negated=True), name="a_credit_entry_changes_something"
            ),
        ),
    ]
