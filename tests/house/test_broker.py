"""The embedded broker: messages are read whole, whoever looks while they are written."""

import threading
from pathlib import Path

from kombu import Connection

from config import broker


def test_a_worker_never_reads_half_a_message(tmp_path: Path):
    broker.survive_loss()
    folder = tmp_path / "post"
    folder.mkdir()
    options = {
        "data_folder_in": str(folder),
        "data_folder_out": str(folder),
        "control_folder": str(tmp_path / "control"),
    }
    said, read = 400, []

    def write() -> None:
        with Connection("filesystem://", transport_options=options) as connection:
            queue = connection.SimpleQueue("nudges")
            for number in range(said):
                queue.put({"number": number, "padding": "x" * 2000})
            queue.close()

    writers = [threading.Thread(target=write) for _ in range(2)]
    with Connection("filesystem://", transport_options=options) as connection:
        queue = connection.SimpleQueue("nudges")
        for writer in writers:
            writer.start()
        while len(read) < 2 * said:
            message = queue.get(timeout=20)
            read.append(message.payload["number"])
            message.ack()
        queue.close()
    for writer in writers:
        writer.join(20)

    assert list(folder.iterdir()) == []
    assert sorted(read) == sorted(2 * list(range(said)))
