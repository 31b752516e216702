"""The Redis transport of kombu 5.7, made to survive its broker.

When Redis goes away, kombu closes the worker's channel while tasks are still running. What they acknowledge later,
and what the closing channel hands back, ends in an AttributeError that nobody expects, and the worker dies
("Unrecoverable error"). Here both are what they are: a lost connection, which Celery survives by reconnecting.
Messages lost that way are nudges; the rows in the database are the queue.
"""

from typing import Any

from kombu.transport import redis


class Channel(redis.Channel):
    """A channel that says so when its connection is gone."""

    # What was not acknowledged comes back by the visibility timeout, not through a connection that is closing.
    do_restore = False

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        self._need_connection()
        super().basic_ack(delivery_tag, multiple=multiple)

    def basic_reject(self, delivery_tag: str, requeue: bool = False) -> None:
        self._need_connection()
        super().basic_reject(delivery_tag, requeue=requeue)

    def _need_connection(self) -> None:
        if self.closed or self.connection is None:
            raise ConnectionError("The broker went away while the task was running.")


def survive_loss() -> None:
    """Let every Redis connection of this process use our channel."""
    transport: Any = redis.Transport
    transport.Channel = Channel
