"""Who needs an archived price to be active just now, so that the first to finish archives it for nobody else."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0009_card_digest")]

    operations = [
        migrations.CreateModel(
            name="PriceUse",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("stripe_price_id", models.CharField(db_index=True, max_length=64)),
                ("is_turn", models.BooleanField(default=False)),
                ("expires_at", models.DateTimeField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("is_turn", True)),
                        fields=("stripe_price_id",),
                        name="one_turn_per_price",
                    )
                ],
            },
        ),
    ]
