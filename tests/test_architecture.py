"""The rules of the house, run as tests: which way imports point, and that migrations tell the whole story."""

import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

ROOT = Path(__file__).resolve().parent.parent


def test_rooms_lean_one_way_and_the_border_has_one_gate():
    contracts = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--config", "pyproject.toml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert contracts.returncode == 0, contracts.stdout + contracts.stderr


@pytest.mark.django_db
def test_every_model_is_in_a_migration():
    said = StringIO()

    call_command(
        "makemigrations", "accounts", "billing", "usage", dry_run=True, check_changes=False, stdout=said
    )

    assert "No changes detected" in said.getvalue()
