"""The campaign file: the operators' policy, read from YAML.

Responsible for the way from text to a `Campaign` and for saying which line is wrong, why, and what to write.
What a campaign may say belongs to `domain.campaign`, keeping its versions to the ledger.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from include.nce.domain.campaign import Campaign, field_path
from include.nce.domain.errors import InputRefused
from include.nce.domain.subscription import is_guid
from include.nce.intake.table import closest, fault, meant, refused

Place = tuple[str | int, ...]

_SURPRISING = ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp")
_MERGE = "<<"
_FORMS = {
    "campaign": "lower-case letters, digits and hyphens, such as csp-commercial-2022",
    "nce": "product:sku as in Partner Center, such as CFQ7TTC0LDPB:0001",
    "product": "the 12 characters of the product, such as CFQ7TTC0LDPB",
    "sku": "the 4 characters of the SKU, such as 0001",
    "term": "P1M, P1Y or P3Y",
    "pilot": "a short id, such as rossi-informatica",
    "billing": "monthly, annual or triennial",
}


class _Loader(yaml.SafeLoader):
    """YAML without two surprises: `on` is a word, not true, and a date is text until the model reads it."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _SURPRISING]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_SURPRISING[0], re.compile("^(?:true|True|false|False)$"), list("tTfF"))


def read_campaign(path: Path) -> Campaign:
    """The campaign in the file at `path`. Raises `InputRefused` with every fault."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise refused(path.name, None, None, "it is not UTF-8 text; save it as UTF-8") from None
    except OSError as unreadable:
        what = f"it cannot be read: {unreadable.strerror}; check the path"
        raise refused(str(path), None, None, what) from None
    return load_campaign(text, name=path.name)


def load_campaign(text: str, *, name: str) -> Campaign:
    """The campaign in `text`, called `name` in sentences. Raises `InputRefused` with every fault."""
    root, data = _parse(text, name)
    faults = list(_offer_faults(root))
    offers_told = bool(faults)
    campaign = None
    try:
        campaign = Campaign.model_validate(data)
    except ValidationError as invalid:
        errors = invalid.errors()
        misspelt = {
            (*error["loc"][:-1], meant(str(error["loc"][-1]), _known_keys(error["loc"][:-1])))
            for error in errors
            if error["type"] == "extra_forbidden"
        }
        faults.extend(
            _placed(error, root)
            for error in errors
            # Told already: a misspelt key is not missing as well, and offers listed twice have both lines.
            if not (error["type"] == "missing" and error["loc"] in misspelt)
            and not (offers_told and error["msg"].endswith("is listed twice"))
        )
    if campaign is None or faults:
        raise InputRefused([fault(name, line, field, what) for line, field, what in sorted(faults)])
    return campaign


def _parse(text: str, name: str) -> tuple[yaml.MappingNode, Any]:
    """The tree with its lines, and the plain data made of it."""
    if not text.strip():
        raise refused(name, None, None, "the file is empty; start from an existing campaign file")
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if not isinstance(root, yaml.MappingNode):
            what = "a campaign file consists of 'key: value' lines; start with 'campaign: name'"
            raise refused(name, 1, None, what)
        faults = list(_key_faults(root, (), set(), name))
        if faults:
            raise InputRefused(faults)
        return root, loader.construct_document(root)
    except yaml.MarkedYAMLError as broken:
        mark = broken.problem_mark or broken.context_mark
        raise refused(name, mark.line + 1 if mark else None, None, _broken(broken)) from None
    except yaml.reader.ReaderError as broken:
        line = text.count("\n", 0, broken.position) + 1
        raise refused(name, line, None, "a character here cannot be part of YAML; remove it") from None
    except RecursionError:
        raise refused(name, None, None, "it is nested too deeply; a campaign is a few levels deep") from None
    except ValueError as unreadable:
        raise refused(name, None, None, f"a value cannot be read: {unreadable}") from None


def _broken(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "unreadable"
    if "'\\t'" in problem:
        return "there is a tab; indent with spaces"
    if "could not find expected ':'" in problem:
        return "this is no 'key: value'; add the colon, or put the text in quotation marks"
    if "mapping values are not allowed here" in problem:
        return "a second colon or a wrong indentation; put texts with a colon in quotation marks"
    if "another document" in problem:
        return "a second document starts here; a file holds one campaign"
    return f"this is not YAML: {problem}; check indentation and quotation marks"


def _key_faults(node: yaml.Node, place: Place, seen: set[int], name: str) -> Iterator[str]:
    """Keys written twice, with both lines, and keys that are no words."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _key_faults(item, (*place, index), seen, name)
    if not isinstance(node, yaml.MappingNode):
        return
    first: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            yield fault(name, line, field_path(place) or None, "a key must be a word; write 'key: value'")
            continue
        here = (*place, key.value)
        if key.value in first and key.value != _MERGE:
            what = f"it is written twice, first on line {first[key.value]}; keep one of the two"
            yield fault(name, line, field_path(here), what)
        first.setdefault(key.value, line)
        yield from _key_faults(value, here, seen, name)


def _offer_faults(root: yaml.MappingNode) -> Iterator[tuple[int, str, str]]:
    """Offers listed twice, with both lines, and ids of legacy offers that are none."""
    first: dict[str, int] = {}
    for index, node in enumerate(_items(_child(root, "offers"))):
        offer_id = _child(node, "offer_id")
        if not isinstance(offer_id, yaml.ScalarNode):
            continue
        line, value = offer_id.start_mark.line + 1, offer_id.value.strip().lower()
        if not is_guid(value):
            what = f"'{offer_id.value}' is no legacy offer id; it looks like 8-4-4-4-12 hexadecimal digits"
            yield line, f"offers[{index}].offer_id", what
        elif value in first:
            what = f"offer {value} is already on line {first[value]}; keep one of the two"
            yield line, f"offers[{index}].offer_id", what
        first.setdefault(value, line)


def _child(node: yaml.Node | None, key: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for name, value in node.value if name.value == key), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        child: yaml.Node = node.value[key]
        return child
    return None


def _items(node: yaml.Node | None) -> Sequence[yaml.Node]:
    return node.value if isinstance(node, yaml.SequenceNode) else ()


def _line_of(root: yaml.Node, place: Place, named: Sequence[str]) -> int:
    """The line of the innermost part of `place` that is in the file, or of a key below it that is `named`."""
    node: yaml.Node | None = root
    line = root.start_mark.line + 1
    for step in place:
        if isinstance(node, yaml.MappingNode):
            key = next((k for k, _ in node.value if k.value == step), None)
            if key is None:
                return line
            line = key.start_mark.line + 1
            node = _child(node, step)
        else:
            node = _child(node, step)
            if node is None:
                return line
            line = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        line = next((k.start_mark.line + 1 for word in named for k, _ in node.value if k.value == word), line)
    return line


def _placed(error: Any, root: yaml.Node) -> tuple[int, str, str]:
    """Line, field and what is wrong, of one error of the model's."""
    place: Place = error["loc"]
    kind, value = error["type"], error["input"]
    if kind == "value_error":
        what = str(error["ctx"]["error"])
    elif kind == "missing":
        what = "it is missing; add it"
    elif kind == "extra_forbidden":
        what = f"this key is not known; {closest(str(place[-1]), _known_keys(place[:-1]))}"
    elif kind == "timezone_aware":
        what = f"'{value}' names no instant without an offset; write it like 2022-07-11T00:00:00Z"
    elif kind.startswith(("datetime", "date")):
        noun, example = ("instant", "2022-07-11T00:00:00Z") if place[-1] == "at" else ("day", "2022-06-30")
        what = f"'{value}' is no {noun}; write it like {example}"
    elif kind == "string_pattern_mismatch":
        # An item of a list has the form that the list's key names.
        key = next((str(step) for step in reversed(place) if isinstance(step, str)), "")
        what = f"'{value}' cannot be used; write {_FORMS.get(key, error['ctx']['pattern'])}"
    elif isinstance(value, dict | list) or value is None:
        what = f"{error['msg'][:1].lower()}{error['msg'][1:]}"
    else:
        what = f"'{value}' cannot be used: {error['msg'][:1].lower()}{error['msg'][1:]}"
    line = _line_of(root, place, re.findall(r"'(\w+)'", what) if kind == "value_error" else ())
    return line, field_path(place), what


def _known_keys(place: Place) -> list[str]:
    """The keys that may stand at `place`, by the models."""
    model: type[BaseModel] | None = Campaign
    for step in place:
        if isinstance(step, str) and model is not None:
            field = model.model_fields.get(step)
            model = _model_in(field.annotation) if field is not None else None
    return list(model.model_fields) if model is not None else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part)) is not None), None)
