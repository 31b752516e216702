"""The room WHAT THEY USED."""

from django.apps import AppConfig


class UsageConfig(AppConfig):
    name = "usage"
    verbose_name = "Usage"

    def ready(self) -> None:
        from usage.meters import hearing

        hearing.connect()
