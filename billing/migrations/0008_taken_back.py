"""A payment says whether a bank asks for it, or has taken it back."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0007_what_was_agreed")]

    operations = [
        migrations.AddField(
            model_name="payment",
            name="dispute_state",
            field=models.CharField(blank=True, db_default="", default="", max_length=8),
        ),
        migrations.AddField(
            model_name="payment",
            name="amount_taken_back",
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="payment",
            name="taken_back_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]
