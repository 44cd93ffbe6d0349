"""What a query of Prometheus names, found without Prometheus: enough for the queries of ours."""

import re

# What is no metric: functions, and words of the language.
WORDS = frozenset(
    {
        "and",
        "by",
        "count",
        "group_left",
        "histogram_quantile",
        "increase",
        "max",
        "min",
        "on",
        "or",
        "rate",
        "sum",
        "unless",
    }
)
_TEXT = re.compile(r'"[^"]*"|\'[^\']*\'')
_LISTS = re.compile(r"\b(?:by|on|group_left)\s*\([^()]*\)")
_RANGE = re.compile(r"\[[^\]]*\]")
_LABELS = re.compile(r"\{([^{}]*)\}")
_NAME = re.compile(r"(?<![\w:.])[A-Za-z_:][\w:]*")
_NUMBER = re.compile(r"(?<![\w:])\d+(?:\.\d+)?")
BRACKETS = {")": "(", "]": "[", "}": "{"}


def metric_names(query: str) -> set[str]:
    """The metrics that a query asks for."""
    rest = _RANGE.sub("", _LISTS.sub(" ", _LABELS.sub("", _TEXT.sub('""', query))))
    return set(_NAME.findall(_NUMBER.sub(" ", rest))) - WORDS


def labels_of(query: str) -> dict[str, set[str]]:
    """The labels that a query asks for by value, by metric."""
    found: dict[str, set[str]] = {}
    for name, inside in re.findall(r"([A-Za-z_:][\w:]*)\{([^{}]*)\}", _TEXT.sub('""', query)):
        found.setdefault(name, set()).update(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", inside))
    return found


def unbalanced(query: str) -> str:
    """The brackets that are open at the end, or the one that closes none."""
    is_open: list[str] = []
    for sign in _TEXT.sub("", query):
        if sign in BRACKETS.values():
            is_open.append(sign)
        elif sign in BRACKETS and (not is_open or is_open.pop() != BRACKETS[sign]):
            return sign
    return "".join(is_open)
