"""A YAML file, read so that every key knows its line."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

# Keys and positions in lists, from the top of the document.
Place = tuple[Any, ...]
MERGE = "tag:yaml.org,2002:merge"


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong. `line` and `where` (the place in words) are filled in at the end."""

    place: Place
    text: str
    severity: Literal["error", "warning"] = "error"
    line: int | None = None
    where: str = ""


@dataclass(frozen=True)
class Document:
    """What the file says, and the line of every key and list item."""

    values: dict[Any, Any]
    lines: dict[Place, int]

    def line_of(self, place: Place) -> int:
        """Find the line of a place, or of what lacks it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)

    def name_of(self, place: Place) -> str:
        """Write a place in words, list items by their name.

        Such as `applications[churn].deployments[Server].max_queued_requests`.
        """
        text = ""
        value: Any = self.values
        for part in place:
            value = _child(value, part)
            if isinstance(part, str) and part.isidentifier():
                text += f".{part}" if text else part
            elif isinstance(part, int) and isinstance(value, dict):
                text += f"[{value.get('name', part)}]"
            else:
                text += f"[{part}]"
        return text


def _child(value: Any, part: Any) -> Any:
    try:
        return value[part]
    except (LookupError, TypeError):
        return None


def read_document(path: Path) -> tuple[Document | None, list[Fault]]:
    """Read the document, or say why there is none.

    A key that stands twice is a fault, and its last value counts.
    """
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        return None, [
            _unreadable(f"cannot be read ({error.strerror}); expected a serve_config.yaml")
        ]
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        return None, [
            _unreadable(
                f"found the byte 0x{error.object[error.start]:02x}, expected text in UTF-8", line
            )
        ]
    try:
        return _parse(text)
    except yaml.MarkedYAMLError as error:
        return None, [_broken(error)]
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        return None, [
            _unreadable(f"not valid YAML: found the character {chr(error.character)!r}", line)
        ]
    except RecursionError:
        return None, [_unreadable("not valid YAML: nested too deeply")]


def _parse(text: str) -> tuple[Document | None, list[Fault]]:
    loader = _Loader(text)
    root = loader.get_single_node()
    if root is None:
        return None, [
            _unreadable("found an empty file, expected a mapping with the key applications")
        ]
    loader.note(root, (), ())
    values = loader.construct_document(root)
    if not isinstance(values, dict):
        line = root.start_mark.line + 1
        return None, [
            _unreadable(
                f"found {kind_of(values)}, expected a mapping with the key applications", line
            )
        ]
    return Document(values, loader.lines), loader.faults


def kind_of(value: Any) -> str:
    """Say what a value is, in words; never the value itself, which may be a secret."""
    names = {
        dict: "a mapping",
        list: "a list",
        str: "text",
        bool: "true or false",
        type(None): "nothing",
    }
    return names.get(type(value), "a number" if isinstance(value, int | float) else "a date")


def _unreadable(text: str, line: int = 1) -> Fault:
    return Fault((), text, line=line)


def _broken(error: yaml.MarkedYAMLError) -> Fault:
    mark = error.problem_mark or error.context_mark
    text = f"not valid YAML: {error.problem}" + (f" ({error.context})" if error.context else "")
    if "'\\t'" in text:
        text += "; indent with spaces, not with tabs"
    return _unreadable(text, mark.line + 1 if mark else 1)


class _Loader(yaml.SafeLoader):
    """PyYAML's loader, which would take the last of two equal keys in silence."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lines: dict[Place, int] = {}
        self.faults: list[Fault] = []

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Make the value of a node.

        One that its tag does not allow (`2024-13-01`) is an error with a line, not a ValueError.
        """
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, LookupError, AttributeError) as error:
            raise yaml.constructor.ConstructorError(
                None, None, str(error), node.start_mark
            ) from None

    def note(self, node: yaml.Node, place: Place, above: tuple[yaml.Node, ...]) -> None:
        """Note the lines of a node and all below it."""
        if node in above:
            raise yaml.composer.ComposerError(
                None, None, "an anchor that contains itself", node.start_mark
            )
        self.lines.setdefault(place, node.start_mark.line + 1)
        if isinstance(node, yaml.SequenceNode):
            for position, item in enumerate(node.value):
                self.note(item, (*place, position), (*above, node))
        elif isinstance(node, yaml.MappingNode):
            self._note_keys(node, place, (*above, node))

    def _note_keys(
        self, node: yaml.MappingNode, place: Place, above: tuple[yaml.Node, ...]
    ) -> None:
        own: dict[Any, int] = {}
        # Merged keys (`<<: *other`) first: a key of one's own may stand for one of them.
        for key_node, value in sorted(node.value, key=lambda pair: pair[0].tag != MERGE):
            if key_node.tag == MERGE:
                for merged in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    self.note(merged, place, above)
            elif isinstance(key_node, yaml.ScalarNode):
                key = self.construct_object(key_node)
                line = key_node.start_mark.line + 1
                if key in own:
                    text = (
                        f"the key stands twice, first in line {own[key]}, and YAML takes the last; "
                        "keep one"
                    )
                    self.faults.append(Fault((*place, key), text, line=line))
                own[key] = self.lines[(*place, key)] = line
                self.note(value, (*place, key), above)
