"""Bodies that are meant to take long: made at random from parts, or from a body that did."""

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple

from serve_app.contract import ModelSpec

SINGLE = "/v1/predict"
BATCH = "/v1/predict/batch"
FEEDBACK = "/v1/feedback"
MOST_BYTES = 1_048_576
N_ROWS = 100
N_LABELS = 1_000
PARTS = (
    b"0",
    b"-1e-9",
    b"9" * 300,
    b"true",
    b"NaN",
    b"[]",
    b"{}",
    b'""',
    b'"x"',
    b'"\\u00e9"',
    b'"\\ud83d\\ude00"',
    b'"' + b"x" * 5_000 + b'"',
    b'"' + b'\\"' * 2_000 + b'"',
    b"[" * 12 + b"]" * 12,
    b'{"a":' * 12 + b"0" + b"}" * 12,
    b'{"a":1,"a":1}',
    b" " * 200 + b"0",
)
# Spoils a body: half of a pair, a bad byte, an end that is missing.
SPOILERS = (b'"\\ud800"', b"\xff", b"[", b"}", b",", b"")


class Hostile(NamedTuple):
    """A body, the route that it is for, and how it was made."""

    path: str
    content: bytes
    made_of: str
    method: str = "POST"


def random_body(spec: ModelSpec, random: Random) -> Hostile:
    """A body for one of the routes of a model that read one."""
    path = random.choice((SINGLE, BATCH, FEEDBACK))
    make = random.choice(MAKERS_OF_LABELS if path == FEEDBACK else MAKERS)
    # Bodies that are refused for their size alone would be most of all.
    most = random.choice((2_000, 20_000, 63_000, 63_000, 400_000, MOST_BYTES - 100))
    content = make(spec, random, most)
    made_of = f"{make.__name__}, at most {most:,} bytes"
    if path != SINGLE and random.random() < 0.5:
        n = min(
            random.randint(1, N_LABELS if path == FEEDBACK else N_ROWS),
            max(1, MOST_BYTES // (len(content) + 1)),
        )
        content = b"[" + b",".join([content] * n) + b"]"
        made_of += f", {n} times"
    if random.random() < 0.3:
        at = random.randrange(len(content))
        content = content[:at] + random.choice(SPOILERS) + content[at:]
        made_of += ", spoilt"
    return Hostile(path, content, made_of)


def changed(body: Hostile, random: Random) -> Hostile:
    """A body with a stretch of it cut out, doubled, or replaced by a part."""
    content = body.content
    begin = random.randrange(len(content))
    end = min(len(content), begin + random.choice((1, 30, 1_000, 30_000)))
    middle = random.choice((b"", content[begin:end] * 2, random.choice(PARTS)))
    mixed = (content[:begin] + middle + content[end:])[:MOST_BYTES]
    return Hostile(body.path, mixed or b"[", body.made_of.removesuffix(", changed") + ", changed")


def nested_in_a_field(spec: ModelSpec, random: Random, most: int) -> bytes:
    """A row of one field that holds a long list."""
    name = random.choice(spec.contract).name.encode()
    part = random.choice(PARTS)
    return b'{"' + name + b'":[' + _filled(part, most) + b"]}"


def unknown_fields(spec: ModelSpec, random: Random, most: int) -> bytes:
    """A row of as many made-up fields as fit, or a few more than are listed."""
    part = random.choice(PARTS)
    n = random.choice((25, 1_400, most // (len(part) + 9) + 1))
    return b"{" + b",".join(b'"k%d":%b' % (i, part) for i in range(n)) + b"}"


def wrong_values(spec: ModelSpec, random: Random, most: int) -> bytes:
    """A row of the model's own fields, each with a wrong value, or a nearly right one."""
    part = random.choice(PARTS)
    if random.random() < 0.5:
        choices = [str(value) for f in spec.contract for value in (f.choices or ())[:50]]
        text = random.choice(choices or ["x"])
        part = json.dumps(text[:-1] + random.choice("xyz")).encode()
    return b"{" + b",".join(b'"%b":%b' % (f.name.encode(), part) for f in spec.contract) + b"}"


def a_field_again_and_again(spec: ModelSpec, random: Random, most: int) -> bytes:
    """A row, good or not, in which one field stands as often as fits."""
    name = random.choice(spec.contract).name.encode()
    again = _filled(b'"%b":%b' % (name, random.choice(PARTS)), most)
    if spec.examples and random.random() < 0.7:
        return spec.examples[0].row.model_dump_json().encode()[:-1] + b"," + again + b"}"
    return b"{" + again + b"}"


def a_label(spec: ModelSpec, random: Random, most: int) -> bytes:
    """A label of an id that nobody made, with a part or many in the place of one of its values."""
    part = random.choice(PARTS)
    if random.random() < 0.5:
        part = b"[" + _filled(part, most) + b"]"
    if random.random() < 0.5:
        return b'{"prediction_id":%b,"actual":1}' % part
    return b'{"prediction_id":"%b","actual":%b}' % (b"A" * 64, part)


def a_list(spec: ModelSpec, random: Random, most: int) -> bytes:
    """A list that holds no row."""
    return b"[" + _filled(random.choice(PARTS), most) + b"]"


def good_rows(spec: ModelSpec, random: Random, most: int) -> bytes:
    """What honest clients send, with many spaces or without."""
    if not spec.examples:
        return wrong_values(spec, random, most)
    row = spec.examples[0].row.model_dump(mode="json")
    return json.dumps(row, indent=random.choice((None, 1, 60))).encode()


MAKERS: Sequence[Callable[[ModelSpec, Random, int], bytes]] = (
    nested_in_a_field,
    unknown_fields,
    wrong_values,
    a_field_again_and_again,
    a_list,
    good_rows,
)

# As often a label as something that is none.
MAKERS_OF_LABELS = (a_label,) * len(MAKERS) + tuple(MAKERS)


def _filled(part: bytes, most: int) -> bytes:
    """A part as often as fits into so many bytes, with commas between."""
    n = max(1, most // (len(part) + 1))
    return b",".join([part] * n)
