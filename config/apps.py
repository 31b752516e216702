"""The room that holds the map, the clockwork and the start-up commands."""

from django.apps import AppConfig


class ConfigConfig(AppConfig):
    name = "config"

    def ready(self) -> None:
        from config import celery  # noqa: F401  makes ours the current app, for nudges and shared tasks
