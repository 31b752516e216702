"""A planned change may be set aside for one at once and is known by its schedule; an offer keeps its list price."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0006_price_rises")]

    operations = [
        migrations.AlterField(
            model_name="planchange",
            name="state",
            field=models.CharField(
                choices=[
                    ("started", "Sent to Stripe"),
                    ("waiting", "Waits for the payment to be confirmed"),
                    ("scheduled", "Will happen at the period's end"),
                    ("set_aside", "Set aside for a change at once"),
                    ("done", "Done"),
                    ("failed", "Did not happen"),
                    ("undone", "Taken back before it happened"),
                ],
                default="started",
                max_length=10,
            ),
        ),
        migrations.AddField(
            model_name="subscription",
            name="stripe_schedule_id",
            field=models.CharField(blank=True, max_length=64),
        ),
        migrations.AddField(
            model_name="offer",
            name="listed",
            field=models.JSONField(blank=True, default=dict),
        ),
    ]
