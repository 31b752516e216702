"""The currency an account's acts cost in before it began to pay in another."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0006_overtaken"), ("usage", "0012_consume_together")]

    operations = [
        migrations.CreateModel(
            name="CurrencyBefore",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("last_record_id", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts.account"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("account", "last_record_id"), name="one_currency_before_per_account_and_act"
                    )
                ],
            },
        ),
    ]
