"""What somebody is told: the notification, who sees it in the site, and each way it leaves the building."""

from __future__ import annotations

from datetime import datetime

from django.db import models

from accounts.models.people import Account, Member, User


class Notification(models.Model):
    """One thing that became true and is told, once per key. Its words are those of the moment it was told."""

    class Audience(models.TextChoices):
        BILLING = "billing", "Owners and admins"
        EVERYONE = "everyone", "Everyone but guests"
        PERSON = "person", "One person"

    # The account it is about; empty for what concerns a person alone (a new password).
    account = models.ForeignKey(
        Account, on_delete=models.CASCADE, null=True, blank=True, related_name="notifications"
    )
    kind = models.CharField(max_length=40)
    # Whom it concerns: the owners and admins, all who use the account, or one person whatever their role.
    to = models.CharField(max_length=8, choices=Audience)
    # Names the fact within its account or person ("receipt:in_123"); the column says whose fact it is, too.
    key = models.CharField(max_length=240, unique=True)
    subject = models.CharField(max_length=250)
    text = models.TextField()
    # Plain JSON: what the words were made of, and the data of webhooks.
    context = models.JSONField(default=dict, blank=True)
    # The account's time.
    created_at = models.DateTimeField()
    # Since when it is no longer so (the account's time): what was to come was taken back. The words stay as told.
    overtaken_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["account", "-id"], name="notifications_of_account")]

    def __str__(self) -> str:
        return self.key


class InboxEntryQuerySet(models.QuerySet["InboxEntry"]):
    def unread(self) -> InboxEntryQuerySet:
        return self.filter(read_at__isnull=True)

    def of(self, user: User) -> InboxEntryQuerySet:
        """What this person may still read: whoever left an account, or may not see its billing any more, does not
        read on about it.
        """
        Audience = Notification.Audience
        memberships = Member.objects.filter(user=user, account=models.OuterRef("notification__account"))
        return self.filter(user=user).filter(
            models.Q(notification__to=Audience.PERSON)
            | models.Q(notification__to=Audience.EVERYONE) & models.Exists(memberships)
            | models.Q(notification__to=Audience.BILLING)
            & models.Exists(memberships.filter(role__in=[Member.Role.OWNER, Member.Role.ADMIN]))
        )


class InboxEntry(models.Model):
    """A notification in one person's list."""

    notification = models.ForeignKey(Notification, on_delete=models.CASCADE, related_name="entries")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="inbox")
    read_at = models.DateTimeField(null=True, blank=True)

    objects = InboxEntryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "inbox entries"
        constraints = [
            models.UniqueConstraint(
                fields=["notification", "user"], name="one_entry_per_person_and_notification"
            ),
        ]
        indexes = [
            models.Index(fields=["user"], condition=models.Q(read_at__isnull=True), name="unread_of_person"),
            models.Index(fields=["user", "-id"], name="inbox_of_person"),
        ]

    def __str__(self) -> str:
        return f"{self.notification} for {self.user}"


class MailPreference(models.Model):
    """One person's no (or yes) to mail of one kind. No row: mail comes."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="mail_preferences")
    kind = models.CharField(max_length=40)
    wants_mail = models.BooleanField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "kind"], name="one_mail_preference_per_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.kind} {'by mail' if self.wants_mail else 'not by mail'}"


class Destination(models.Model):
    """Where an organization wants to be told besides mail: a Slack channel, or a server of its own."""

    class Channel(models.TextChoices):
        SLACK = "slack", "Slack"
        WEBHOOK = "webhook", "Webhook"

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="destinations")
    channel = models.CharField(max_length=8, choices=Channel)
    # Sealed: whoever knows a Slack address may write into the channel, and a webhook's may carry a token.
    sealed_url = models.TextField()
    # What pages show of it.
    shown_url = models.CharField(max_length=200)
    # Which categories of notifications go there.
    categories = models.JSONField(default=list)
    # Sealed; webhooks sign with it. The one before keeps signing beside it until `old_secret_until`.
    sealed_secret = models.TextField(blank=True)
    sealed_old_secret = models.TextField(blank=True)
    old_secret_until = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField()
    # Since when nothing gets through; cleared by the first delivery that does.
    failing_since = models.DateTimeField(null=True, blank=True)
    # Switched off, by a person or because nothing got through for days. What is owed then stays owed.
    disabled_at = models.DateTimeField(null=True, blank=True)
    disabled_reason = models.CharField(max_length=200, blank=True)

    def __str__(self) -> str:
        return f"{self.get_channel_display()} {self.shown_url} of {self.account}"

    @property
    def is_on(self) -> bool:
        return self.disabled_at is None


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def due(self, now: datetime) -> DeliveryQuerySet:
        """Still owed and due at `now` (wall time); what goes to a destination that is off waits."""
        return self.filter(
            models.Q(destination__isnull=True) | models.Q(destination__disabled_at__isnull=True),
            state=Delivery.State.WAITING,
            next_attempt_at__lte=now,
        )


class Delivery(models.Model):
    """One notification on its way to one address: the outbox. The row is the queue, Celery only a nudge."""

    class Channel(models.TextChoices):
        MAIL = "mail", "Mail"
        SLACK = "slack", "Slack"
        WEBHOOK = "webhook", "Webhook"

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        DELIVERED = "delivered", "Delivered"
        GIVEN_UP = "given_up", "Given up"
        # What it says was no longer so before it left.
        OVERTAKEN = "overtaken", "No longer so, not sent"

    notification = models.ForeignKey(Notification, on_delete=models.CASCADE, related_name="deliveries")
    channel = models.CharField(max_length=8, choices=Channel)
    # A mail's address, or the destination.
    address = models.EmailField(blank=True)
    user = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    destination = models.ForeignKey(
        Destination, on_delete=models.CASCADE, null=True, blank=True, related_name="deliveries"
    )
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    attempts = models.PositiveIntegerField(default=0)
    # Wall time, as is all that concerns machines.
    next_attempt_at = models.DateTimeField()
    delivered_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=300, blank=True)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(
                fields=["notification", "address"],
                condition=models.Q(channel="mail"),
                name="one_mail_per_notification_and_address",
            ),
            models.UniqueConstraint(
                fields=["notification", "destination"],
                condition=models.Q(destination__isnull=False),
                name="one_delivery_per_notification_and_destination",
            ),
            models.CheckConstraint(
                condition=models.Q(channel="mail", destination__isnull=True)
                | models.Q(channel__in=["slack", "webhook"], destination__isnull=False),
                name="a_delivery_has_its_address",
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_attempt_at"], condition=models.Q(state="waiting"), name="deliveries_owed"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.notification} by {self.channel}"


class DeliveryAttempt(models.Model):
    """One try to reach a destination: when, what it answered, how long it took. Never what its answer said."""

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="tries")
    at = models.DateTimeField()
    # Empty: no answer came.
    status_code = models.PositiveSmallIntegerField(null=True, blank=True)
    error = models.CharField(max_length=300, blank=True)
    milliseconds = models.PositiveIntegerField()

    class Meta:
        indexes = [models.Index(fields=["delivery", "-id"], name="tries_of_delivery")]

    def __str__(self) -> str:
        return f"{self.delivery}: {self.status_code or self.error}"
