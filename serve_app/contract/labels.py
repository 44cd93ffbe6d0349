"""The labels of a classifier, however a file or a library spells them."""

from typing import Any


def name_of_label(label: Any) -> str:
    """A label as a name that does not depend on how it was read: 1, 1.0, "1" and numpy's 1 are one.

    True and 1 are one label, and False and 0.
    """
    text = str(label)
    if text in ("True", "False"):
        return "1" if text == "True" else "0"
    if text.endswith(".0") and text[:-2].lstrip("+-").isdigit():
        return text[:-2]
    return text
