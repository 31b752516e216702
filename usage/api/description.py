"""The OpenAPI schema put in the order a person reads it, for a page that needs no script of anybody's."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from usage.api.routes import api


@dataclass(frozen=True)
class Field:
    name: str
    type: str
    is_required: bool
    text: str


@dataclass(frozen=True)
class Answer:
    status: int
    meaning: str
    fields: tuple[Field, ...]


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    summary: str
    text: str
    parameters: tuple[Field, ...]
    body: tuple[Field, ...]
    answers: tuple[Answer, ...]

    @property
    def anchor(self) -> str:
        words = self.path.removeprefix("/api/v1/").replace("{", "").replace("}", "").split("/")
        return "-".join([self.method, *words]).lower()


@dataclass(frozen=True)
class Description:
    title: str
    text: str
    operations: tuple[Operation, ...]


@lru_cache(maxsize=1)
def description() -> Description:
    """Everything the API can do, as /api/v1/openapi.json says it."""
    schema: dict[str, Any] = api.get_openapi_schema()
    shapes = schema["components"]["schemas"]
    return Description(
        title=schema["info"]["title"],
        text=schema["info"]["description"],
        operations=tuple(
            _operation(method, path, details, shapes)
            for path, methods in schema["paths"].items()
            for method, details in methods.items()
        ),
    )


def _operation(method: str, path: str, details: dict[str, Any], shapes: dict[str, Any]) -> Operation:
    body = details.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    return Operation(
        method=method.upper(),
        path=path,
        summary=details["summary"],
        text=details.get("description", "").replace("`", ""),
        parameters=tuple(
            Field(
                parameter["name"],
                f"{_type(parameter['schema'])}, {parameter['in']}",
                bool(parameter.get("required")),
                parameter.get("description") or parameter["schema"].get("description", ""),
            )
            for parameter in details.get("parameters", [])
        ),
        body=_fields(body, shapes),
        answers=tuple(
            Answer(
                int(status),
                HTTPStatus(int(status)).phrase,
                _fields(answer.get("content", {}).get("application/json", {}).get("schema", {}), shapes)
                if int(status) < 300
                else (),
            )
            for status, answer in details["responses"].items()
        ),
    )


def _fields(schema: dict[str, Any], shapes: dict[str, Any]) -> tuple[Field, ...]:
    shape = shapes.get(_reference(schema), schema)
    required = shape.get("required", [])
    return tuple(
        Field(name, _type(field), name in required, field.get("description", ""))
        for name, field in shape.get("properties", {}).items()
    )


def _type(schema: dict[str, Any]) -> str:
    if reference := _reference(schema):
        return reference.removesuffix("Out")
    if options := schema.get("anyOf"):
        return " or ".join(_type(option) for option in options)
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"map of {_type(schema['additionalProperties'])}"
    return str(schema.get("format") or schema.get("type", "any"))


def _reference(schema: dict[str, Any]) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]
