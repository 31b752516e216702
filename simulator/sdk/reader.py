"""Turn the `stripe` package's type annotations into plain lists and dicts, to check against and to cache.

A type is a list: `["str"]`, `["opt", T]`, `["list", T]`, `["enum", [values]]`, `["union", [T…]]`, `["map"]`,
`["expand", T]`, `["listobj", T]`, `["ref", "module:Class.Inner"]`, `["any"]`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypedDict

Type = list[Any]


class Schema(TypedDict):
    """What was read: `objects` maps a wire name to its class, `fields` and `params` map a class to types.

    `thin` maps the type of a thin event to two classes: the event, and the letter that tells of it.
    """

    objects: dict[str, str]
    thin: dict[str, dict[str, str]]
    fields: dict[str, dict[str, Type]]
    params: dict[str, dict[str, list[Any]]]
    routes: list[list[str]]


def read(package: Path, *, left_out: frozenset[str], kept: frozenset[str] = frozenset()) -> Schema:
    """Read every response, parameter class and route below `package`, but of the folders in `left_out` only the files
    in `kept`.
    """
    schema: Schema = {"objects": {}, "thin": {}, "fields": {}, "params": {}, "routes": []}
    for path in sorted(package.rglob("*.py")):
        within = path.relative_to(package)
        parts = within.with_suffix("").parts
        if path.name == "__init__.py" or (left_out.intersection(parts) and within.as_posix() not in kept):
            continue
        module = _Module(".".join(("stripe", *parts)), ast.parse(path.read_text()))
        if parts[0] == "params":
            _read_params(module, schema)
        elif path.name.endswith("_service.py"):
            _read_routes(module, schema)
        else:
            _read_responses(module, schema)
    return schema


class _Module:
    """One parsed file: its name, its tree, and what its imported names mean."""

    def __init__(self, name: str, tree: ast.Module) -> None:
        self.name = name
        self.tree = tree
        self.imported: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("stripe"):
                for alias in node.names:
                    self.imported[alias.asname or alias.name] = f"{node.module}:{alias.name}"


def _read_responses(module: _Module, schema: Schema) -> None:
    for cls in _classes(module.tree):
        for item in cls.body:
            if not isinstance(item, ast.AnnAssign) or not isinstance(item.value, ast.Constant):
                continue
            if isinstance(item.target, ast.Name) and item.target.id == "OBJECT_NAME":
                schema["objects"][str(item.value.value)] = f"{module.name}:{cls.name}"
        _read_class(module, cls, cls.name, [], schema)
        _read_thin(module, cls, schema)


def _read_thin(module: _Module, cls: ast.ClassDef, schema: Schema) -> None:
    """`LOOKUP_TYPE = "v1.billing.…"` in a class made from `Event` or `EventNotification`, whose fields it has too."""
    base = next((node.id for node in cls.bases if isinstance(node, ast.Name)), "")
    for item in cls.body:
        if (
            isinstance(item, ast.Assign)
            and isinstance(item.value, ast.Constant)
            and any(isinstance(target, ast.Name) and target.id == "LOOKUP_TYPE" for target in item.targets)
        ):
            role = "letter" if base == "EventNotification" else "event"
            key = f"{module.name}:{cls.name}"
            schema["thin"].setdefault(str(item.value.value), {})[role] = key
            schema["fields"][key] = {**schema["fields"][key], "": ["base", module.imported.get(base, "")]}


def _read_class(
    module: _Module, cls: ast.ClassDef, path: str, scopes: list[dict[str, str]], schema: Schema
) -> None:
    inner = {child.name: f"{module.name}:{path}.{child.name}" for child in _classes(cls)}
    scopes = [inner, *scopes]
    fields: dict[str, Type] = {}
    for item in cls.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            name = item.target.id
            if name.startswith("_") or name == "OBJECT_NAME" or _head(item.annotation) == "ClassVar":
                continue
            # `in_` and `is_` stand for wire names that are Python keywords.
            fields[name.rstrip("_")] = _compile(item.annotation, module, scopes)
    schema["fields"][f"{module.name}:{path}"] = fields
    for child in _classes(cls):
        _read_class(module, child, f"{path}.{child.name}", scopes, schema)


def _read_params(module: _Module, schema: Schema) -> None:
    for cls in _classes(module.tree):
        entries: dict[str, list[Any]] = {}
        for name, annotation in _declared(cls):
            required = _head(annotation) != "NotRequired"
            if not required:
                annotation = annotation.slice  # type: ignore[attr-defined]
            entries[name] = [required, _compile(annotation, module, [])]
        schema["params"][f"{module.name}:{cls.name}"] = entries


def _declared(cls: ast.ClassDef) -> Iterator[tuple[str, ast.expr]]:
    for item in cls.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            yield item.target.id, item.annotation


def _read_routes(module: _Module, schema: Schema) -> None:
    for cls in _classes(module.tree):
        for function in cls.body:
            if not isinstance(function, ast.FunctionDef):
                continue
            params = _params_class(function, module)
            for call in ast.walk(function):
                if (
                    isinstance(call, ast.Call)
                    and getattr(call.func, "attr", "") == "_request"
                    and len(call.args) > 1
                ):
                    method, path = _text(call.args[0]), _text(call.args[1])
                    if method and path:
                        schema["routes"].append([method.upper(), path, params])


def _params_class(function: ast.FunctionDef, module: _Module) -> str:
    for argument in function.args.args:
        if argument.arg == "params" and argument.annotation is not None:
            for node in ast.walk(argument.annotation):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    return module.imported.get(node.value, "")
    return ""


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        node = node.func.value
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _compile(node: ast.expr, module: _Module, scopes: list[dict[str, str]]) -> Type:
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            return _compile(ast.parse(node.value, mode="eval").body, module, scopes)
        return ["none"] if node.value is None else ["any"]
    if isinstance(node, ast.Name):
        return _name(node.id, module, scopes)
    if isinstance(node, ast.BinOp):
        return ["union", [_compile(node.left, module, scopes), _compile(node.right, module, scopes)]]
    if isinstance(node, ast.Subscript):
        return _subscript(node, module, scopes)
    return ["any"]


def _name(name: str, module: _Module, scopes: list[dict[str, str]]) -> Type:
    plain = {"str": "str", "int": "int", "bool": "bool", "float": "float", "Decimal": "decimal", "Any": "any"}
    if name in plain:
        return [plain[name]]
    for scope in scopes:
        if name in scope:
            return ["ref", scope[name]]
    if name in module.imported:
        return ["ref", module.imported[name]]
    if any(cls.name == name for cls in _classes(module.tree)):
        return ["ref", f"{module.name}:{name}"]
    return ["any"]


def _subscript(node: ast.Subscript, module: _Module, scopes: list[dict[str, str]]) -> Type:
    head, inside = _head(node), node.slice
    parts = inside.elts if isinstance(inside, ast.Tuple) else [inside]
    if head == "Literal":
        return ["enum", [ast.literal_eval(part) for part in parts]]
    if head == "Union":
        return ["union", [_compile(part, module, scopes) for part in parts]]
    if head in ("Dict", "UntypedStripeObject", "Mapping"):
        return ["map"]
    kind = {
        "Optional": "opt",
        "List": "list",
        "ExpandableField": "expand",
        "ListObject": "listobj",
        "SearchResultObject": "listobj",
    }.get(head)
    return [kind, _compile(parts[0], module, scopes)] if kind else ["any"]


def _head(node: ast.expr) -> str:
    return getattr(node.value, "id", "") if isinstance(node, ast.Subscript) else ""


def _classes(node: ast.Module | ast.ClassDef) -> list[ast.ClassDef]:
    return [item for item in node.body if isinstance(item, ast.ClassDef)]
