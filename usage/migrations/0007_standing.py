"""Standing counts and slots."""

import django.db.models.deletion
from django.db import migrations, models


def _account():
    return models.ForeignKey(
        db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts.account"
    )


def _id():
    return models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")


class Migration(migrations.Migration):
    dependencies = [("usage", "0006_meter_deliveries"), ("accounts", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="Gauge",
            fields=[
                ("id", _id()),
                ("feature", models.CharField(max_length=60)),
                ("value", models.BigIntegerField(default=0)),
                ("over_since", models.DateTimeField(blank=True, null=True)),
                ("noted_version", models.BigIntegerField(blank=True, null=True)),
                ("changed_at", models.DateTimeField()),
                ("account", _account()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=["account", "feature"], name="one_gauge_per_account_feature"),
                    models.CheckConstraint(
                        condition=models.Q(("value__gte", 0)), name="gauges_are_not_negative"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="GaugeClaim",
            fields=[
                ("id", _id()),
                ("feature", models.CharField(max_length=60)),
                ("key", models.CharField(max_length=200)),
                ("units", models.BigIntegerField()),
                ("claimed_at", models.DateTimeField()),
                ("account", _account()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=["account", "feature", "key"], name="one_claim_per_account_feature_key"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("units__gt", 0)), name="a_claim_holds_at_least_one_unit"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Slot",
            fields=[
                ("id", _id()),
                ("feature", models.CharField(max_length=60)),
                ("key", models.CharField(max_length=200)),
                ("taken_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("account", _account()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=["account", "feature", "key"], name="one_slot_per_account_feature_key"
                    ),
                ],
            },
        ),
    ]
