"""The URL map: a resource announces its routes beside its verbs, `find` matches one request to one verb."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from simulator import sdk
from simulator.errors import invalid, missing_param
from simulator.params import Params


@dataclass
class Request:
    """One call to the API, decoded."""

    method: str
    path: str
    params: Params
    headers: dict[str, str] = field(default_factory=dict)
    id: str = ""
    idempotency_key: str | None = None


@dataclass(frozen=True)
class Document:
    """An answer that is a file and no object."""

    content: bytes
    content_type: str


Verb = Callable[..., dict[str, Any] | Document]


@dataclass
class Route:
    """A method, a path pattern and the verb `verb(sim, request, *ids)` that answers."""

    method: str
    pattern: re.Pattern[str]
    verb: Verb
    tree: sdk.ParamTree | None = None
    is_known: bool = False

    def check(self, request: Request) -> None:
        """Refuses parameters that the SDK's own types do not have or take, and misses those they require."""
        if not self.is_known:
            self.tree = sdk.params_for(self.method, request.path)
            self.is_known = True
        if self.tree is None:
            return
        unknown = sdk.unknown_param(self.tree, request.params.values)
        if unknown is not None:
            raise invalid(f"Received unknown parameter: {unknown}", param=unknown, code="parameter_unknown")
        missing = sdk.missing_param(self.tree, request.params.values)
        if missing is not None:
            raise missing_param(missing)
        wrong = sdk.wrong_param(self.tree, request.params.values)
        if wrong is not None:
            raise invalid(wrong.message, param=wrong.param, code=wrong.code)


_ROUTES: dict[tuple[str, int], list[Route]] = {}


Announced = TypeVar("Announced", bound=Verb)


def route(method: str, template: str) -> Callable[[Announced], Announced]:
    """Announces a verb at `template`, e.g. `/v1/customers/{id}`; fixed words win over placeholders."""
    pattern = re.compile("^" + re.sub(r"\{\w+\}", r"([^/]+)", template) + "$")

    def announce(verb: Announced) -> Announced:
        routes = _ROUTES.setdefault((method, template.count("/")), [])
        routes.append(Route(method, pattern, verb))
        routes.sort(key=lambda known: known.pattern.groups)
        return verb

    return announce


def find(method: str, path: str) -> tuple[Route, tuple[str, ...]] | None:
    """The route for this call and the ids in its path."""
    for candidate in _ROUTES.get((method, path.count("/")), ()):
        match = candidate.pattern.match(path)
        if match:
            return candidate, match.groups()
    return None
