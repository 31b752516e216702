"""The samples of docs/api.md, run as they are printed against a server: Python, JavaScript and the batch."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts import api_keys
from accounts.models import Account
from usage.models import UsageRecord

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = Path("docs/api.md").read_text()
CALLS = """
import { count } from "./tallyhouse.mjs";
const told = [];
for (const key of ["job-1", "job-1"]) told.push(await count(process.env.ACCOUNT, "generations", 2, key));
try { await count(process.env.ACCOUNT, "generations", 100, "job-2"); } catch (refused) { told.push(refused); }
console.log(JSON.stringify(told));
"""


def printed(language: str) -> str:
    found: list[str] = re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)
    return next(sample for sample in found if "tallyhouse" in sample)


@pytest.fixture
def key() -> str:
    _, text = api_keys.issue(kind="service", name="my product", now=timezone.now())
    return text


def is_as_promised(told: list[Any]) -> None:
    first, again, refused = told
    assert (first["units"], first["remaining"], first["replayed"]) == (2, 3, False)
    assert (again["id"], again["replayed"]) == (first["id"], True)
    assert (refused["code"], refused["remaining"], refused["status"]) == ("allowance_exhausted", 3, 402)
    assert UsageRecord.objects.count() == 1


def test_the_python_sample_counts_once_and_says_why_not(
    account: Account, key: str, live_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALLYHOUSE_URL", live_server.url)
    monkeypatch.setenv("TALLYHOUSE_KEY", key)
    sample: dict[str, Any] = {}
    exec(printed("python"), sample)

    told = [sample["count"](str(account.pk), "generations", 2, "job-1") for _ in range(2)]
    with pytest.raises(sample["Refused"]) as refused:
        sample["count"](str(account.pk), "generations", 100, "job-2")

    is_as_promised([*told, refused.value.args[0]])


@pytest.mark.slow
@pytest.mark.usefixtures("from_npm")
def test_the_javascript_sample_counts_once_and_says_why_not(
    account: Account, key: str, live_server: Any, tmp_path: Path
) -> None:
    node = shutil.which("node")
    assert node is not None, "node is not here although npm is. Install Node.js 18 or newer."
    (tmp_path / "tallyhouse.mjs").write_text(printed("js"))
    (tmp_path / "calls.mjs").write_text(CALLS)

    done = subprocess.run(
        [node, "calls.mjs"],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "TALLYHOUSE_URL": live_server.url,
            "TALLYHOUSE_KEY": key,
            "ACCOUNT": str(account.pk),
        },
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    is_as_promised(json.loads(done.stdout))


def test_the_batch_is_counted_as_it_is_printed(account: Account, key: str, client: Client) -> None:
    sample = next(one for one in re.findall(r"```sh\n(.*?)```", PAGE, re.S) if "usage/batch" in one)
    body = json.loads(sample.split("-d '")[1].rpartition("'")[0].replace("<account id>", str(account.pk)))
    for line in body["lines"]:
        line["feature"] = "generations"

    answer = client.post(
        "/api/v1/usage/batch",
        body,
        content_type="application/json",
        headers={"Authorization": f"Bearer {key}"},
    ).json()

    assert [line["status"] for line in answer["lines"]] == ["counted", "refused"]
    assert (answer["counted"], answer["lines"][1]["code"]) == (1, "allowance_exhausted")
