"""One row: when the clockwork last proved that it runs."""

from django.db import models


class Heartbeat(models.Model):
    """The last sign of life of something that has no address to ask."""

    CLOCKWORK = "clockwork"

    name = models.CharField(max_length=40, primary_key=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name} at {self.at:%Y-%m-%d %H:%M:%S}"
