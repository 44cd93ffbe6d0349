"""YAML in which each key stands once: YAML itself takes the last one without a word."""

from typing import Any

import yaml

from serve_app.errors import SettingsError


class _Loader(yaml.SafeLoader):
    """Refuses a mapping in which a key stands twice."""

    def compose_mapping_node(self, anchor: Any) -> Any:
        """A mapping as it is written. Raises SettingsError without a word of it."""
        node = super().compose_mapping_node(anchor)
        seen: set[tuple[str, str]] = set()
        for name, _ in node.value:
            if not isinstance(name, yaml.ScalarNode):
                continue
            if (name.tag, name.value) in seen:
                raise SettingsError(
                    f"line {name.start_mark.line + 1}: found a key that stands there already; "
                    "expected each once"
                )
            seen.add((name.tag, name.value))
        return node


def load_yaml(text: str) -> Any:
    """The plain values of a text. Raises SettingsError for a key that stands twice, YAMLError."""
    return yaml.load(text, Loader=_Loader)
