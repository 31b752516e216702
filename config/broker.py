"""Two transports of kombu 5.7, made to survive: Redis its broker's death, the embedded one its own half-written files.

When Redis goes away, kombu closes the worker's channel while tasks are still running. What they acknowledge later,
and what the closing channel hands back, ends in an AttributeError that nobody expects, and the worker dies
("Unrecoverable error"). Here both are what they are: a lost connection, which Celery survives by reconnecting.
Messages lost that way are nudges; the rows in the database are the queue.

The filesystem transport opens a message under its final name and writes it afterwards. A worker that looks in between
takes an empty file, fails to read it as JSON, and dies the same way. Here a message gets its name when it is whole.
"""

import os
import time
import uuid
from pathlib import Path
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport import filesystem, redis
from kombu.utils.json import dumps


class RedisChannel(redis.Channel):
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


class FileChannel(filesystem.Channel):
    """A channel whose messages and tables are read whole or not at all."""

    def _put(self, queue: Any, payload: Any, **kwargs: Any) -> None:  # type: ignore[override]
        folder = Path(self.data_folder_out)
        name = f"{round(time.monotonic() * 1000)}_{uuid.uuid4()}.{queue}.msg"
        unfinished = folder / f"{name}.part"  # not a name that any queue looks for
        try:
            unfinished.write_text(dumps(payload))
            os.replace(unfinished, folder / name)
        except OSError as error:
            raise ChannelError(f"Cannot add a message to {folder}.") from error

    def get_table(self, exchange: str) -> Any:
        return _when_whole(lambda: super(FileChannel, self).get_table(exchange))

    def _queue_bind(self, exchange: Any, routing_key: Any, pattern: Any, queue: Any) -> Any:
        return _when_whole(
            lambda: super(FileChannel, self)._queue_bind(exchange, routing_key, pattern, queue)
        )


def survive_loss() -> None:
    """Let every connection of this process use our channels."""
    over_redis: Any = redis.Transport
    over_redis.Channel = RedisChannel
    in_files: Any = filesystem.Transport
    in_files.Channel = FileChannel


def _when_whole(look: Any) -> Any:
    """Look again while another process is in the middle of writing the table, for at most a second."""
    for _ in range(50):
        try:
            return look()
        except ValueError:
            time.sleep(0.02)
    return look()
