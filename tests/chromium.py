"""The browser of the journeys: an installed Chromium, or a sentence that says how to get one."""

import os
import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class ChromiumMissing(Exception):
    """No browser to drive; the text says what to do."""


def executable() -> str:
    """The path of the Chromium to drive: `TEST_CHROMIUM`, or the first found under its usual names.

    Raises:
        ChromiumMissing: none is installed.
    """
    for name in (os.environ.get("TEST_CHROMIUM", ""), *NAMES):
        found = shutil.which(name) if name else None
        if found:
            return found
    raise ChromiumMissing(
        "The browser journeys need Chromium. Install it (Debian: apt-get install chromium; macOS: brew "
        "install chromium) or set TEST_CHROMIUM to the path of one. As root, ./run test installs Debian's."
    )


def arguments() -> list[str]:
    """What to start it with: root has no sandbox, and a container has little shared memory."""
    return ["--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
