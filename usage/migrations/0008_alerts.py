"""Thresholds and what was said when one was crossed."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("usage", "0007_standing")]

    operations = [
        migrations.CreateModel(
            name="LedgerMark",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=20, unique=True)),
                ("done", models.BigIntegerField()),
                ("marked", models.BigIntegerField()),
                ("marked_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="AlertWish",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("percents", models.JSONField(default=list)),
                ("amounts", models.JSONField(default=list)),
                ("changed_at", models.DateTimeField()),
                (
                    "account",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="alert_wish",
                        to="accounts.account",
                    ),
                ),
                (
                    "set_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={"verbose_name_plural": "alert wishes"},
        ),
        migrations.CreateModel(
            name="Crossing",
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
                        choices=[("quota", "Percent of an allowance"), ("spend", "Sum of money")],
                        max_length=5,
                    ),
                ),
                ("feature", models.CharField(blank=True, max_length=60)),
                ("period_start", models.DateTimeField()),
                ("period_end", models.DateTimeField()),
                ("limit_units", models.BigIntegerField()),
                ("threshold", models.BigIntegerField()),
                ("crossed_at", models.DateTimeField()),
                ("is_told", models.BooleanField()),
                ("back_at", models.DateTimeField(blank=True, null=True)),
                (
                    "account",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="crossings",
                        to="accounts.account",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("back_at__isnull", True), ("kind", "quota"), ("threshold", 100)),
                        fields=["period_end"],
                        name="allowances_to_come_back",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("account", "kind", "feature", "period_start", "limit_units", "threshold"),
                        name="one_crossing_per_threshold_window_and_limit",
                    )
                ],
            },
        ),
    ]
