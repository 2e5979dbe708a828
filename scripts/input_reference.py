"""The reference page of what people write: the campaign file's keys, the columns of the two lists.

Responsible for turning the models and column lists that read these files into tables. Writing the page
belongs to `scripts.reference`.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from include.nce.domain.campaign import Campaign
from include.nce.intake import opt_out_list, roster
from include.nce.intake.table import Column


def input_page() -> str:
    """Every key of a campaign file and every column of a roster and of an opt-out list."""
    schema = Campaign.model_json_schema()
    models = {model.__name__: model for model in _models(Campaign)}
    parts = [
        "# What people write",
        "Every key and every column. How to write these files is in "
        "[the campaign file, the roster and the opt-out list](../campaign-file.md). A key or column that is "
        "not listed here is refused, with its line and the word that was probably meant.",
        "## Campaign file",
        "\n".join(_keys("Campaign", models, schema)),
    ]
    for name in schema["$defs"]:
        if name in models:
            parts += [f"### {name}", _about(models[name]), "\n".join(_keys(name, models, schema))]
    parts += [
        "## Roster",
        "\n".join(_columns(roster.COLUMNS)),
        "## Opt-out list",
        "\n".join(_columns(opt_out_list.COLUMNS)),
    ]
    return "\n\n".join(parts) + "\n"


def meanings(model: type[BaseModel]) -> dict[str, str]:
    """Key -> the text that stands below it in the model's source."""
    [body] = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(body, ast.ClassDef)  # noqa: S101 - the source of a class is a class
    found = {}
    for key, text in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(key, ast.AnnAssign)
            and isinstance(key.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
        ):
            found[key.target.id] = " ".join(str(text.value.value).split())
    return found


def _models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """This model and all that its keys hold."""
    yield model
    for field in model.model_fields.values():
        for inner in _inside(field.annotation):
            yield from _models(inner)


def _inside(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from _inside(part)


def _about(model: type[BaseModel]) -> str:
    return " ".join(str(inspect.getdoc(model)).split())


def _keys(name: str, models: Mapping[str, type[BaseModel]], schema: Mapping[str, Any]) -> Iterator[str]:
    described = schema if name == "Campaign" else schema["$defs"][name]
    required = described.get("required", ())
    texts = meanings(models[name])
    yield "| key | value | left out | meaning |"
    yield "|---|---|---|---|"
    for key, value in described["properties"].items():
        left_out = "must be there" if key in required else _default(value)
        yield f"| `{key}` | {_kind(value, schema['$defs'])} | {left_out} | {texts[key]} |"


def _default(described: Mapping[str, Any]) -> str:
    if "default" not in described:
        return "none"
    default = described["default"]
    if isinstance(default, dict):
        return "as below"
    if isinstance(default, list):
        return ", ".join(f"`{each}`" for each in sorted(default)) or "none"
    if isinstance(default, bool):
        return "true" if default else "false"
    return f"`{default}`" if default not in (None, "") else "none"


def _kind(described: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """A type of JSON schema in words, with links to the section that has its keys."""
    if "$ref" in described:
        name = str(described["$ref"]).rsplit("/", 1)[-1]
        if "enum" in definitions[name]:
            return _kind(definitions[name], definitions)
        return f"[{name}](#{name.lower()})"
    if "anyOf" in described:
        return " or ".join(
            _kind(each, definitions) for each in described["anyOf"] if each.get("type") != "null"
        )
    if "enum" in described:
        return ", ".join(f"`{word}`" for word in described["enum"])
    if described["type"] == "array":
        return f"list: {_kind(described['items'], definitions)}"
    if described["type"] == "object":
        return "country code -> text"
    if described["type"] == "integer":
        return _number(described)
    return {"date-time": "instant with offset", "date": "day"}.get(
        str(described.get("format")), _text(described)
    )


def _number(described: Mapping[str, Any]) -> str:
    least, most = described.get("minimum"), described.get("maximum")
    if most is not None:
        return f"whole number, {least} to {most}"
    return f"whole number, at least {least}" if least is not None else "whole number"


def _text(described: Mapping[str, Any]) -> str:
    if described["type"] == "boolean":
        return "true or false"
    return f"text, `{described['pattern']}`".replace("|", "\\|") if "pattern" in described else "text"


def _columns(columns: Sequence[Column]) -> Iterator[str]:
    yield "| column | may also be called | needed |"
    yield "|---|---|---|"
    for column in columns:
        also = ", ".join(column.aliases) or "-"
        yield f"| `{column.name}` | {also} | {'yes' if column.required else 'no'} |"
