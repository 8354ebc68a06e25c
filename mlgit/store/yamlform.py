"""YAML in the narrow form of docs/format.md: written here, read fast here.

What isn't in the narrow form (somebody edited the file, another program wrote it) goes to
PyYAML's safe loader. The narrow reader exists because PyYAML takes 150 µs a file with
libyaml and 2 ms without, and indexing 10,000 fetched runs reads 40,000 of them.
"""

from __future__ import annotations

import json
import math
import re
from functools import lru_cache
from typing import Any

from mlgit.exceptions import CorruptData

_PLAIN = re.compile(r"^[A-Za-z_](?:[A-Za-z0-9_./ -]*[A-Za-z0-9_./-])?\Z")
# Words that YAML 1.1 or 1.2 reads as something other than a string.
_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "inf", "nan"}
_SURROGATE = re.compile("[\ud800-\udfff]")
# What PyYAML's constructors raise for values that don't fit their tags ("!!int x").
_BAD_VALUES = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
# Allowed in JSON strings but not printable in YAML (yaml.org/spec/1.2.2, "c-printable").
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_MAX_DEPTH = 40

_LINE = re.compile(
    r'^( *)(- )?([A-Za-z_][A-Za-z0-9_./ -]*|"(?:[^"\\]|\\.)*"):'
    r"(?: (\S.*))?\Z"
)
# Numbers and digests, which is what mlgit writes so; other words may mean something to YAML.
_FLOW_ITEM = r"[a-z][a-z0-9]{2,}: (?:0|[1-9][0-9]{0,18}|[0-9a-f]{64})"
_FLOW = re.compile(rf"^\{{({_FLOW_ITEM}(?:, {_FLOW_ITEM})*)\}}\Z")
# A whole line of the commonest kind: text without escapes, a plain word, a whole number.
_FLAT = re.compile(
    r'([A-Za-z_][A-Za-z0-9_]*): (?:"([^"\\\x00-\x1f]*)"|'
    r"([A-Za-z_](?:[A-Za-z0-9_./ -]*[A-Za-z0-9_./-])?)|(0|[1-9][0-9]{0,17}))\n"
)
_INT = re.compile(r"^-?(?:0|[1-9][0-9]*)\Z")
_FLOAT = re.compile(r"^-?[0-9]+\.[0-9]+(?:e[+-][0-9]+)?\Z")
_SPECIAL: dict[str, Any] = {
    "true": True,
    "false": False,
    "null": None,
    ".nan": math.nan,
    ".inf": math.inf,
    "-.inf": -math.inf,
    "{}": {},
    "[]": [],
}


class _NotNarrow(Exception):
    """The text isn't in the narrow form."""


def scalar(value: Any) -> str:
    """One scalar: str, bool, None, int or float.

    Raises:
        TypeError: It is something else.
    """
    if isinstance(value, str):
        return text(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return number(value)
    raise TypeError(f"{type(value).__name__} has no place in a record")


def text(value: str) -> str:
    """A string, plain where that can't be misread and quoted otherwise."""
    if _PLAIN.match(value) and value.lower() not in _WORDS:
        return value
    return _UNPRINTABLE.sub(lambda m: f"\\u{ord(m[0]):04x}", json.dumps(value, ensure_ascii=False))


def number(value: float) -> str:
    """A float that reads back the same, as YAML 1.1 and 1.2 both have it."""
    if value != value:
        return ".nan"
    if value in (math.inf, -math.inf):
        return ".inf" if value > 0 else "-.inf"
    shown = repr(value)
    if "e" in shown and "." not in shown:
        shown = shown.replace("e", ".0e", 1)
    return shown


def dump(data: dict[str, Any], *, sort: bool = False) -> bytes:
    """A mapping as narrow YAML.

    Args:
        data: Strings, numbers, None, lists and mappings of them.
        sort: Sort the keys of the top level.
    """
    lines: list[str] = []
    _dump_mapping(data, "", lines, sort)
    # Lone surrogates are refused, or escaped, where they come in. Should one get here, it isn't
    # worth a run that can't be committed.
    return ("\n".join(lines) + "\n").encode("utf-8", "replace") if lines else b"{}\n"


def _dump_mapping(data: dict[str, Any], indent: str, lines: list[str], sort: bool) -> None:
    for key in sorted(data) if sort else data:
        value = data[key]
        if isinstance(value, dict) and value:
            lines.append(f"{indent}{text(key)}:")
            _dump_mapping(value, indent + "  ", lines, False)
        elif isinstance(value, list) and value:
            lines.append(f"{indent}{text(key)}:")
            _dump_list(value, indent + "  ", lines)
        elif isinstance(value, (dict, list)):
            lines.append(f"{indent}{text(key)}: {'{}' if isinstance(value, dict) else '[]'}")
        elif isinstance(value, Flow):
            lines.append(f"{indent}{text(key)}: {value}")
        else:
            lines.append(f"{indent}{text(key)}: {scalar(value)}")


def _dump_list(items: list[Any], indent: str, lines: list[str]) -> None:
    for item in items:
        if isinstance(item, dict) and item:
            start = len(lines)
            _dump_mapping(item, indent + "  ", lines, False)
            lines[start] = indent + "- " + lines[start][len(indent) + 2 :]
        elif isinstance(item, (dict, list)):
            lines.append(f"{indent}- {_flow(item)}")
        else:
            lines.append(f"{indent}- {scalar(item)}")


def _flow(value: Any) -> str:
    """A value on one line: what block style has no narrow form for."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{text(k)}: {_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return scalar(value)


class Flow:
    """A mapping of words to numbers and digests that is written on one line."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data

    def __str__(self) -> str:
        return "{" + ", ".join(f"{k}: {v}" for k, v in self.data.items()) + "}"


def load(data: bytes, name: str, *, unique: bool = False) -> dict[str, Any]:
    """The mapping that a YAML file holds.

    Args:
        data: The file.
        name: What to call it in errors.
        unique: Refuse a key that stands twice in a mapping; else the last one counts.

    Raises:
        CorruptData: It isn't UTF-8, isn't YAML, isn't a mapping, or tries to construct
            anything but strings, numbers, lists and mappings.
    """
    try:
        content = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CorruptData(f"{name} isn't UTF-8: {error}") from error
    try:
        found = _load_narrow(content)
    except (_NotNarrow, ValueError):
        found = _load_any(content, name, unique)
    if "\\" in content and _has_surrogate(found):
        raise CorruptData(f"{name} has an escape for a lone surrogate, which isn't text")
    return found


def _has_surrogate(value: Any) -> bool:
    if isinstance(value, str):
        return not value.isascii() and _SURROGATE.search(value) is not None
    if isinstance(value, dict):
        return any(_has_surrogate(k) or _has_surrogate(v) for k, v in value.items())
    return isinstance(value, list) and any(_has_surrogate(item) for item in value)


def _load_narrow(content: str) -> dict[str, Any]:
    if content == "{}\n":
        return {}
    flat = _load_flat(content)
    if flat is not None:
        return flat
    lines = content.split("\n")
    if lines.pop() != "":
        raise _NotNarrow
    result, end = _read_mapping(lines, 0, 0)
    if end != len(lines):
        raise _NotNarrow
    return result


def _load_flat(content: str) -> dict[str, Any] | None:
    """A mapping of simple lines, at a third of the time; None where it is anything else."""
    result: dict[str, Any] = {}
    at = 0
    for match in _FLAT.finditer(content):
        key, quoted, plain, number = match.groups()
        if match.start() != at or key in result or key.lower() in _WORDS:
            return None
        at = match.end()
        if quoted is not None:
            result[key] = quoted
        elif number is not None:
            result[key] = int(number)
        elif plain.lower() in _WORDS:
            return None
        else:
            result[key] = plain
    return result if at == len(content) else None


def _read_mapping(lines: list[str], at: int, indent: int) -> tuple[dict[str, Any], int]:
    result: dict[str, Any] = {}
    first = at
    while at < len(lines):
        match = _LINE.match(lines[at])
        if match is None:
            raise _NotNarrow
        spaces, dash, shown, value = match.groups()
        depth = len(spaces) + (2 if dash else 0)
        if depth < indent or (dash and at > first and depth == indent):
            break
        if depth > indent or indent > 2 * _MAX_DEPTH:
            raise _NotNarrow
        key = _read_key(shown)
        if key in result:
            raise _NotNarrow
        at += 1
        if value is not None:
            result[key] = _read_scalar(value)
        else:
            result[key], at = _read_block(lines, at, indent + 2)
    return result, at


def _read_block(lines: list[str], at: int, indent: int) -> tuple[Any, int]:
    if at >= len(lines):
        raise _NotNarrow
    prefix = " " * indent
    if not lines[at].startswith(prefix):
        raise _NotNarrow
    if not lines[at].startswith(prefix + "- "):
        return _read_mapping(lines, at, indent)
    items: list[Any] = []
    while at < len(lines) and lines[at].startswith(prefix + "- "):
        if _LINE.match(lines[at]):
            item, at = _read_mapping(lines, at, indent + 2)
        else:
            item, at = _read_scalar(lines[at][indent + 2 :]), at + 1
        items.append(item)
    return items, at


@lru_cache(maxsize=1024)
def _read_key(key: str) -> str:
    if key.startswith('"'):
        return str(_from_json(key))
    if not _PLAIN.match(key) or key.lower() in _WORDS:
        raise _NotNarrow
    return key


def _read_scalar(value: str) -> Any:
    if value.startswith('"'):
        return _from_json(value)
    if _INT.match(value):
        return int(value)
    if _FLOAT.match(value):
        return float(value)
    if value in _SPECIAL:
        found = _SPECIAL[value]
        return type(found)() if isinstance(found, (dict, list)) else found
    if _PLAIN.match(value) and value.lower() not in _WORDS:
        return value
    flow = _FLOW.match(value)
    if flow:
        pairs = [item.split(": ") for item in flow[1].split(", ")]
        if not any(key in _WORDS for key, _ in pairs):
            return {k: int(v) if len(v) < 20 else v for k, v in pairs}
    raise _NotNarrow


def _from_json(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        raise _NotNarrow from None


def _load_any(content: str, name: str, unique: bool = False) -> dict[str, Any]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _check_depth(yaml, content, loader)
        if unique:
            _check_unique(yaml, yaml.compose(content, Loader=loader))
        found = yaml.load(content, Loader=loader)
    except (yaml.YAMLError, *_BAD_VALUES) as error:
        problem = " ".join(str(error).split())
        raise CorruptData(
            f"{name} can't be read as plain YAML: {problem}",
            hint="only strings, numbers, lists and mappings may stand in a record",
        ) from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise CorruptData(f"{name} must be a mapping, not a {type(found).__name__}")
    return {str(key): _plain(value) for key, value in found.items()}


def _plain(value: Any) -> Any:
    """What YAML 1.1 reads as dates, sets and bytes, as text: 2026-03-01 is somebody's string."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    return str(value)


def _check_depth(yaml: Any, content: str, loader: Any) -> None:
    """Refuse nesting that would overflow the stack, and aliases that multiply (a YAML bomb)."""
    depth = 0
    for event in yaml.parse(content, Loader=loader):
        if isinstance(event, yaml.AliasEvent):
            raise yaml.YAMLError("aliases aren't used in records")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _MAX_DEPTH:
                raise yaml.YAMLError(f"nested deeper than {_MAX_DEPTH} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _check_unique(yaml: Any, node: Any) -> None:
    """Refuse mappings that have a key twice, such as a merge may leave behind."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_unique(yaml, item)
    elif isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    line = key.start_mark.line + 1
                    raise yaml.YAMLError(
                        f"the key {key.value!r} stands twice, again in line {line}"
                    )
                seen.add(key.value)
            _check_unique(yaml, value)
