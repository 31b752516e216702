"""What a machine's environment decides, read from the settings as production has them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHOWN = """
import json
from config import settings
names = [
    "SECURE_HSTS_SECONDS", "SECURE_HSTS_INCLUDE_SUBDOMAINS", "SECURE_HSTS_PRELOAD", "ALLAUTH_TRUSTED_PROXY_COUNT",
    "EMAIL_TIMEOUT",
]
print(json.dumps({name: getattr(settings, name) for name in names}))
"""


def in_production(**environment):
    """The settings of a site with DEBUG off and this environment."""
    said = subprocess.run(
        [sys.executable, "-c", SHOWN],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "SECRET_KEY": "k" * 50, "DEBUG": "0", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(said.stdout)


def test_https_is_promised_for_this_site_alone_unless_i_say_the_whole_domain():
    by_default = in_production()
    chosen = in_production(SECURE_HSTS_INCLUDE_SUBDOMAINS="1", SECURE_HSTS_PRELOAD="1")

    assert by_default["SECURE_HSTS_SECONDS"] == 31_536_000
    assert not by_default["SECURE_HSTS_INCLUDE_SUBDOMAINS"]
    assert not by_default["SECURE_HSTS_PRELOAD"]
    assert chosen["SECURE_HSTS_INCLUDE_SUBDOMAINS"]
    assert chosen["SECURE_HSTS_PRELOAD"]


def test_i_say_how_many_proxies_stand_before_the_site():
    assert in_production()["ALLAUTH_TRUSTED_PROXY_COUNT"] == 0
    assert in_production(ALLAUTH_TRUSTED_PROXY_COUNT="2")["ALLAUTH_TRUSTED_PROXY_COUNT"] == 2


@pytest.mark.parametrize("address", ["", "smtp+tls://user:password@smtp.example.com:587"])
def test_a_mail_server_that_does_not_answer_is_given_up_after_ten_seconds(address):
    assert in_production(EMAIL_URL=address)["EMAIL_TIMEOUT"] == 10


@pytest.mark.parametrize(("asked", "logs"), [([], False), (["-v", "2"], True), (["--verbosity=2"], True)])
def test_a_command_says_what_it_does_itself_and_logs_only_when_asked_to(asked, logs, tmp_path):
    words = "import structlog; structlog.get_logger('billing.stripe').info('stripe_call'); print('done')"
    environment = {
        "PATH": os.environ["PATH"],
        "SECRET_KEY": "k" * 50,
        "DEBUG": "1",
        "TALLYHOUSE_VAR": str(tmp_path),
    }

    said = subprocess.run(
        [sys.executable, "manage.py", "shell", "--command", words, *asked],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert said.stdout.splitlines()[-1] == "done"
    assert ("stripe_call" in said.stderr) is logs


def test_every_setting_of_the_environment_is_explained_in_the_example():
    example = (ROOT / ".env.example").read_text()

    for name in in_production():
        assert name in example
