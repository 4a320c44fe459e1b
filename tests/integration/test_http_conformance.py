"""The HTTP API does what its OpenAPI document says: schemathesis makes requests from it, right ones and wrong ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from facewire.client.web.api.table import ROUTES
from tests.support.synthetic_engine import portrait
from tests.support.web_server import Page, facewire_server, web_page

EXAMPLES = 8  # of each operation, right and wrong ones each: all of them together take half a minute

CHECKS = [
    status_code_conformance, content_type_conformance, response_headers_conformance, response_schema_conformance,
    negative_data_rejection, unsupported_method,
]  # fmt: skip

OPERATIONS = sorted([*(route.op for route in ROUTES), *(f"{route.op}.batch" for route in ROUTES if route.batch)])


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A gateway with a person and an album."""
    with facewire_server(tmp_path_factory.mktemp("served")) as address, web_page(address, api_only=True) as page:
        for path, body, kind in (
            ("people/enrol?name=0", portrait(1), "image/png"),
            ("albums/create", b'{"album": "0"}', "application/json"),
            ("albums/add?album=0&name=0", portrait(2), "image/png"),
        ):
            assert page.request("POST", f"/api/v1/{path}", body, {"Content-Type": kind})[0] == 200
        yield page


@pytest.fixture(scope="module")
def operations(page: Page) -> dict[str, Any]:
    """Each operation of the document, by its id."""
    document = json.loads(page.request("GET", "/api/v1/openapi.json")[2])
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=f"{page.url}/api/v1")
    results: list[Any] = list(schema.get_all_operations())
    found = [result.ok() for result in results]
    return {operation.definition.raw["operationId"]: operation for operation in found}


def test_the_document_has_every_route(operations: dict[str, Any]) -> None:
    assert sorted(operations) == OPERATIONS


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["right", "wrong"])
@pytest.mark.parametrize("op", OPERATIONS)
def test_requests_are_answered_as_documented(page: Page, operations: dict[str, Any], op: str, mode: Any) -> None:
    operation = operations[op]
    if mode is GenerationMode.NEGATIVE and not operation.body and not operation.query:
        return  # there is nothing to be wrong

    @settings(
        max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck), verbosity=Verbosity.quiet,
    )  # fmt: skip
    @given(operation.as_strategy(generation_mode=mode))
    def asked(case: Any) -> None:
        answer = case.call()
        assert answer.status_code < 500, (answer.status_code, answer.text)
        case.validate_response(answer, checks=CHECKS)

    asked()
    assert page.request("GET", "/api/v1/ping")[0] == 200
