"""What went to Stripe's meters together."""

import django.db.models.deletion
from django.db import migrations, models


def deliver_what_was_tried(apps, schema_editor):
    """Until now each act was sent by itself: whatever was tried becomes a delivery of one act, under its identifier."""
    MeterEvent = apps.get_model("usage", "MeterEvent")
    MeterDelivery = apps.get_model("usage", "MeterDelivery")
    tried = MeterEvent.objects.filter(~models.Q(state="waiting") | models.Q(first_sent_at__isnull=False))
    for event in tried.iterator(chunk_size=1000):
        delivery = MeterDelivery.objects.create(
            account_id=event.account_id,
            event_name=event.event_name,
            identifier=event.identifier,
            units=event.units,
            acts=1,
            occurred_at=event.occurred_at,
            frozen_at=event.first_sent_at or event.next_attempt_at,
            state=event.state,
            attempts=event.attempts,
            next_attempt_at=event.next_attempt_at,
            unknown_since=event.first_sent_at if event.state in ("waiting", "review") else None,
            sent_at=event.sent_at,
            last_error=event.last_error,
        )
        MeterEvent.objects.filter(pk=event.pk).update(state="frozen", delivery=delivery)
    if schema_editor.connection.vendor == "postgresql":
        # Checks that wait for the commit would stand in the way of the changes to the table that follow.
        schema_editor.execute("SET CONSTRAINTS ALL IMMEDIATE")


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("usage", "0005_reservations"),
    ]

    operations = [
        migrations.CreateModel(
            name="MeterDelivery",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("event_name", models.CharField(max_length=100)),
                ("identifier", models.CharField(max_length=100, unique=True)),
                ("units", models.BigIntegerField()),
                ("acts", models.PositiveIntegerField()),
                ("occurred_at", models.DateTimeField()),
                ("frozen_at", models.DateTimeField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("sent", "Sent"),
                            ("rejected", "Rejected"),
                            ("review", "Review"),
                            ("billed", "Billed"),
                            ("settled", "Settled"),
                        ],
                        default="waiting",
                        max_length=8,
                    ),
                ),
                ("is_in_flight", models.BooleanField(default=False)),
                ("attempts", models.PositiveIntegerField(default=0)),
                ("next_attempt_at", models.DateTimeField()),
                ("unknown_since", models.DateTimeField(blank=True, null=True)),
                ("stripe_customer_id", models.CharField(blank=True, max_length=64)),
                ("sent_at", models.DateTimeField(blank=True, null=True)),
                ("last_error", models.TextField(blank=True)),
                ("stripe_invoice_item_id", models.CharField(blank=True, max_length=64)),
                (
                    "account",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.account",
                    ),
                ),
            ],
            options={"verbose_name_plural": "meter deliveries"},
        ),
        migrations.AddField(
            model_name="meterevent",
            name="delivery",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="events",
                to="usage.meterdelivery",
            ),
        ),
        migrations.RunPython(deliver_what_was_tried, migrations.RunPython.noop),
        migrations.RemoveIndex(model_name="meterevent", name="meter_events_waiting"),
        migrations.RemoveField(model_name="meterevent", name="first_sent_at"),
        migrations.RemoveField(model_name="meterevent", name="sent_at"),
        migrations.AlterField(
            model_name="meterevent",
            name="attempts",
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AlterField(
            model_name="meterevent",
            name="last_error",
            field=models.TextField(blank=True, db_default="", default=""),
        ),
        migrations.AlterField(
            model_name="meterevent",
            name="state",
            field=models.CharField(
                choices=[("waiting", "Waiting"), ("frozen", "Frozen")], default="waiting", max_length=8
            ),
        ),
        migrations.AddIndex(
            model_name="meterevent",
            index=models.Index(
                condition=models.Q(("state", "waiting")), fields=["id"], name="meter_events_waiting"
            ),
        ),
        migrations.AddConstraint(
            model_name="meterevent",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("delivery__isnull", True), ("state", "waiting")),
                    models.Q(("delivery__isnull", False), ("state", "frozen")),
                    _connector="OR",
                ),
                name="a_frozen_event_has_its_delivery",
            ),
        ),
        migrations.AddIndex(
            model_name="meterdelivery",
            index=models.Index(
                condition=models.Q(("state", "waiting")),
                fields=["next_attempt_at"],
                name="meter_deliveries_waiting",
            ),
        ),
        migrations.AddIndex(
            model_name="meterdelivery",
            index=models.Index(
                fields=["account", "event_name", "occurred_at"], name="meter_deliveries_of_account"
            ),
        ),
        migrations.AddConstraint(
            model_name="meterdelivery",
            constraint=models.UniqueConstraint(
                condition=models.Q(("is_in_flight", True)),
                fields=("account", "event_name"),
                name="one_delivery_in_flight_per_customer_and_meter",
            ),
        ),
        migrations.AddConstraint(
            model_name="meterdelivery",
            constraint=models.CheckConstraint(
                condition=models.Q(("acts__gt", 0), ("units__gt", 0)), name="a_delivery_carries_at_least_one_unit"
            ),
        ),
    ]
