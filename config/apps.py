"""The room that holds the map, the clockwork and the start-up commands."""

from django.apps import AppConfig


class ConfigConfig(AppConfig):
    name = "config"
