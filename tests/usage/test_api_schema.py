"""Whatever is sent to the API: no answer is a 5xx, and every answer is as the documentation says."""

from typing import Any

import pytest
import schemathesis
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from accounts import api_keys
from accounts.models import Account
from config.wsgi import application
from tests.usage.conftest import subscribe

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

EXAMPLES = 12
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture
def callers(account: Account) -> list[dict[str, str]]:
    """Headers of nobody, of the account's own key and of a service key."""
    subscribe(account, "pro", anchor=timezone.now())
    _, own = api_keys.issue(kind="account", name="own", account=account, now=timezone.now())
    _, service = api_keys.issue(kind="service", name="service", now=timezone.now())
    return [{}, {"Authorization": f"Bearer {own}"}, {"Authorization": f"Bearer {service}"}]


def test_every_answer_is_as_documented(callers: list[dict[str, str]]) -> None:
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", application)
    operations = [found.ok() for found in schema.get_all_operations()]

    for operation in operations:

        @given(case=operation.as_strategy())
        @settings(
            max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None
        )
        def answers(case: Any) -> None:
            for headers in callers:
                case.headers.pop("Authorization", None)
                case.call_and_validate(headers=headers, checks=CHECKS)

        answers()

    assert len(operations) >= 19
