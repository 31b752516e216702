"""What ./run does before anything is installed: .env, ports, folders, processes, and what it says."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from config.bootstrap import command, environment
from config.bootstrap.install import ROOT
from config.bootstrap.processes import Household
from config.bootstrap.words import CannotStart


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in which .env is made, and an environment without our variables."""
    monkeypatch.setattr(environment, "ENV_FILE", tmp_path / ".env")
    for line in environment.EXAMPLE.read_text().splitlines():
        monkeypatch.delenv(line.lstrip("# ").partition("=")[0], raising=False)
    monkeypatch.delenv("STRIPE_API_BASE", raising=False)
    monkeypatch.setenv("TALLYHOUSE_VAR", str(tmp_path / "var"))
    return tmp_path


def test_the_first_start_writes_an_env_file_for_my_eyes_only(checkout: Path) -> None:
    settings = environment.read()

    assert stat.S_IMODE((checkout / ".env").stat().st_mode) == 0o600
    assert len(settings["SECRET_KEY"]) > 50
    assert settings["DEBUG"] == "1"


def test_two_checkouts_do_not_share_a_secret_key(checkout: Path) -> None:
    first = environment.read()["SECRET_KEY"]
    (checkout / ".env").unlink()

    assert environment.read()["SECRET_KEY"] != first


def test_my_env_file_is_kept_and_the_environment_wins_over_it(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checkout / ".env").write_text('# mine\nSECRET_KEY="kept"\nexport SITE_NAME=Papers\nPORT=9000\n')
    monkeypatch.setenv("PORT", "9500")

    settings = environment.read()

    assert (settings["SECRET_KEY"], settings["SITE_NAME"], settings["PORT"]) == ("kept", "Papers", "9500")


def test_every_business_keeps_its_data_apart(checkout: Path) -> None:
    settings = environment.read()
    kaboot = environment.place({**settings, "BILLING_CATALOG": "kaboot"})
    hybrid = environment.place(settings)

    told = environment.for_children(settings, kaboot, web=8000, simulator=12111)

    assert hybrid.catalog == "hybrid"
    assert kaboot.folder != hybrid.folder
    assert told["DATABASE_URL"].endswith("/kaboot/db.sqlite3")
    assert told["SIMULATOR_STORE"].endswith("/kaboot/simulator.sqlite")


def test_a_price_list_that_does_not_exist_is_refused_with_the_names_of_those_that_do(checkout: Path) -> None:
    with pytest.raises(CannotStart, match=r"kabot names no price list.*automation, hybrid, kaboot"):
        environment.place({**environment.read(), "BILLING_CATALOG": "kabot"})


def test_with_my_own_stripe_key_no_simulator_starts(checkout: Path) -> None:
    settings = {
        **environment.read(),
        "STRIPE_SECRET_KEY": "sk_test_mine",
        "STRIPE_WEBHOOK_SECRETS": "whsec_mine",
    }

    told = environment.for_children(settings, environment.place(settings), web=8000, simulator=12111)

    assert told["STRIPE_SECRET_KEY"] == "sk_test_mine"
    assert "STRIPE_API_BASE" not in told
    assert "SIMULATOR_PORT" not in told


def test_the_stand_in_signs_with_the_secret_the_site_expects(checkout: Path) -> None:
    settings = environment.read()

    told = environment.for_children(settings, environment.place(settings), web=8000, simulator=12111)

    assert told["STRIPE_WEBHOOK_SECRETS"] == told["SIMULATOR_WEBHOOK_SECRET"]
    assert told["SIMULATOR_WEBHOOK_URL"] == "http://127.0.0.1:8000/stripe/webhook/"


def test_a_busy_port_means_the_next_one() -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]

        web, simulator = environment.ports({"PORT": str(port), "SIMULATOR_PORT": str(port)})

    assert port < web < simulator


def test_a_port_that_is_no_number_is_named() -> None:
    with pytest.raises(CannotStart, match="PORT=eighty is not a port number"):
        environment.ports({"PORT": "eighty"})


def test_an_unknown_word_is_answered_with_where_to_look(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["strat"]) == 1
    assert "does not know “strat”. ./run help" in capsys.readouterr().err


def test_help_needs_nothing_installed() -> None:
    done = subprocess.run(
        [sys.executable, "-S", str(ROOT / "run"), "help"], capture_output=True, text=True, timeout=30
    )

    assert done.returncode == 0
    assert "./run test" in done.stdout


@pytest.fixture
def household(tmp_path: Path) -> Household:
    return Household(tmp_path, dict(os.environ))


def test_a_process_that_dies_is_named_with_its_last_words(household: Household) -> None:
    household.start("worker", [sys.executable, "-c", "print('the disk is full'); raise SystemExit(3)"])

    with pytest.raises(CannotStart, match=r"(?s)worker has ended \(exit status 3\).*the disk is full"):
        household.watch()


def test_a_process_that_is_killed_is_named_with_the_signal(household: Household) -> None:
    web = household.start("web", [sys.executable, "-c", "import time; time.sleep(60)"])
    os.kill(web.pid, signal.SIGKILL)

    with pytest.raises(CannotStart, match=r"web has ended \(killed by SIGKILL\)"):
        household.watch()


def test_ending_ends_grandchildren_too(household: Household, tmp_path: Path) -> None:
    script = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(f'{{child.pid}}\\n')\n"
        "time.sleep(60)\n"
    )
    household.start("web", [sys.executable, "-c", script])
    grandchild = _read_pid(tmp_path / "pid")

    household.end()

    _wait_until_gone(grandchild)


def _read_pid(written: Path) -> int:
    deadline = time.monotonic() + 20
    while not (written.exists() and written.read_text().endswith("\n")):
        assert time.monotonic() < deadline, "the child did not start"
        time.sleep(0.02)
    return int(written.read_text())


def _wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().split()[2] if Path("/proc").exists() else "?"
            os.kill(pid, 0)
        except (ProcessLookupError, FileNotFoundError):
            return
        if state == "Z":  # dead, only not yet collected by whoever inherited it
            return
        time.sleep(0.02)
    raise AssertionError(f"process {pid} is still there")
