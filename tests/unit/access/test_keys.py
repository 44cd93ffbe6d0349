"""Keys without a file and without HTTP: who is let in, and what is said of a broken list."""

import hmac
import string
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from keyring import ENTRIES, NOW_S, WRONG_KEYS, entry, key_of, secret_of

from serve_app.access import keys as module
from serve_app.access.caller import Caller
from serve_app.access.keys import (
    ID_PATTERN,
    MAX_LINES,
    KeyFile,
    Keys,
    file_text,
    new_entry,
    new_secret,
    parse_keys,
    secret_sha256,
    whole_key,
)
from serve_app.errors import SettingsError

KEYS = Keys(KeyFile(keys=ENTRIES))
ALL = {"predict", "feedback", "admin"}
HASH = secret_sha256("anything")
# Ours to recognise: it must be in no error.
MARK = "s3cr3tMark"


def test_a_key_is_of_its_owner_with_scopes_and_rates() -> None:
    """What the rate limits and the routes read stands in the file."""
    assert KEYS.caller(key_of("shop").encode(), NOW_S) == Caller(
        "shop", frozenset({"predict"}), 50, 100
    )
    assert KEYS.caller(key_of("labels").encode(), NOW_S) == Caller(
        "labels", frozenset({"feedback"})
    )
    assert len(KEYS) == len(ENTRIES)


def test_an_admin_may_do_everything() -> None:
    """The scope includes the others, so that an operator needs one key."""
    caller = KEYS.caller(key_of("ops").encode(), NOW_S)
    assert caller is not None
    assert caller.scopes == ALL


def test_a_key_is_refused_from_the_second_on_at_which_it_expires() -> None:
    """Valid before, and over at that very moment."""
    ops = key_of("ops").encode()
    assert KEYS.caller(ops, NOW_S + 0.9) is not None
    assert KEYS.caller(ops, NOW_S + 1) is None


@pytest.mark.parametrize("wrong", WRONG_KEYS.values(), ids=WRONG_KEYS)
def test_whatever_is_no_valid_key_is_nobodys_after_the_same_comparison(
    wrong: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One comparison of two digests, in constant time, whether the id is known or not."""
    compared: list[tuple[int, int]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return hmac.compare_digest(one, other)

    monkeypatch.setattr(module, "compare_digest", compare)
    assert KEYS.caller((wrong or "").encode(), NOW_S) is None
    assert compared == [(32, 32)]


VALID = {key_of(one.id).encode() for one in ENTRIES}
NEARLY = st.sampled_from(sorted(VALID)).flatmap(
    lambda key: st.tuples(
        st.integers(0, len(key)), st.integers(0, len(key)), st.binary(max_size=3)
    ).map(lambda cut: key[: cut[0]] + cut[2] + key[cut[1] :])
)


@given(st.binary(max_size=400) | NEARLY)
def test_bytes_of_any_kind_let_nobody_in(sent: bytes) -> None:
    """Headers are the first thing that an attacker writes; nothing of them raises."""
    caller = KEYS.caller(sent, NOW_S)
    assert caller is None or sent in VALID


@given(st.text(string.ascii_lowercase + string.digits + "-_", min_size=1, max_size=40))
def test_a_new_key_is_that_of_its_owner_and_of_nobody_else(id_: str) -> None:
    """Whatever the id, its key has one point between the halves, and only this secret fits."""
    if not id_[0].isalnum():
        id_ = "a" + id_[1:]
    secret = new_secret()
    found = Keys(KeyFile(keys=(new_entry({"id": id_, "secret_sha256": secret_sha256(secret)}),)))
    key = whole_key(id_, secret)
    assert key.count(".") == 1
    caller = found.caller(key.encode(), NOW_S)
    assert caller is not None
    assert (caller.id, caller.scopes) == (id_, {"predict"})
    assert found.caller(whole_key(id_, new_secret()).encode(), NOW_S) is None


def test_a_secret_has_256_random_bits() -> None:
    """So many that a fast hash keeps them: nobody tries them all."""
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert {len(secret) for secret in secrets} == {43}


def test_a_secret_and_its_hash_are_no_id() -> None:
    """An id is named in errors and logs, so that what is secret must not pass for one."""
    for text in (new_secret(), HASH, key_of("shop")):
        with pytest.raises(SettingsError, match="id: expected 1 to 40 of a-z"):
            new_entry({"id": text, "secret_sha256": HASH})


MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2090, 1, 1)).map(
    lambda moment: moment.replace(microsecond=0, tzinfo=UTC)
)
FILES = st.lists(
    st.builds(
        entry,
        st.from_regex(ID_PATTERN, fullmatch=True, alphabet=string.ascii_lowercase + "0123456789-_"),
        st.sampled_from(["predict", "feedback", "admin"]),
        expires=st.none() | MOMENTS,
        rows_per_s=st.integers(1, 1000) | st.floats(0.01, 1e6),
        burst_rows=st.none() | st.integers(1, 1000),
    ),
    max_size=5,
    unique_by=lambda one: one.id,
).map(lambda entries: KeyFile(keys=tuple(entries)))


@settings(max_examples=50)
@given(FILES)
def test_what_is_written_is_read_again(file: KeyFile) -> None:
    """Ids that look like numbers or words of YAML included."""
    assert parse_keys(file_text(file)) == file


def test_yaml_writes_a_time_with_or_without_quotes() -> None:
    """And in any zone: it is one moment."""
    text = f"keys:\n- {{id: a, secret_sha256: '{HASH}', expires: %s}}\n"
    moments = ("2027-01-31T00:00:00Z", "'2027-01-31T00:00:00Z'", "'2027-01-31T02:00:00+02:00'")
    found = {parse_keys(text % moment).keys[0].expires for moment in moments}
    assert found == {datetime(2027, 1, 31, tzinfo=UTC)}
    assert next(iter(found)).utcoffset() == timedelta(0)  # type: ignore[union-attr]


def listed(*entries: Any) -> str:
    """A file of these entries, written by hand."""
    return yaml.safe_dump({"keys": list(entries)})


GOOD = {"id": "shop", "secret_sha256": HASH}
BROKEN: dict[str, tuple[str, str]] = {
    "nothing": ("", "expected a mapping with one key, the list `keys`"),
    "a list": ("- a", "expected a mapping with one key, the list `keys`"),
    "keys that are none": ("keys: 3", "expected a mapping with one key, the list `keys`"),
    "another key": (f"keys: []\n{MARK}: 1", "expected a mapping with one key"),
    "a set": (f"keys: !!set {{{MARK}}}", "entry 1: expected a mapping of id, secret_sha256"),
    "no YAML": (f"keys: [\n  {MARK}: {{", "line 2 is no YAML"),
    "an alias": (f"keys: *{MARK}", "line 1 is no YAML"),
    "a tag": (f"keys: !{MARK} 1", "line 1 is no YAML"),
    "a date that is none": ("keys: 2024-13-01", "it is no YAML"),
    "a control character": (f"keys: \x01{MARK}", "it is no YAML"),
    "nested deeply": ("[" * 1_000, "it is no YAML"),
    "an entry that is text": (listed(GOOD, MARK), "entry 2: expected a mapping of id"),
    "an unknown field": (listed({**GOOD, MARK: 1}), "entry 1 (shop): an unknown key; expected one"),
    "the whole key": (listed({**GOOD, "id": key_of("a")}), "entry 1: id: expected 1 to 40"),
    "no id": (listed({"secret_sha256": HASH}), "entry 1: id: missing; expected 1 to 40"),
    "no hash": (listed({"id": "shop"}), "entry 1 (shop): secret_sha256: missing; expected 64"),
    "the secret itself": (
        listed({**GOOD, "secret_sha256": MARK}),
        "entry 1 (shop): secret_sha256: expected 64 hexadecimal digits",
    ),
    "an unknown scope": (listed({**GOOD, "scopes": [MARK]}), "entry 1 (shop): scopes: expected a"),
    "no scope": (listed({**GOOD, "scopes": []}), "entry 1 (shop): scopes: expected a list of"),
    "a scope alone": (listed({**GOOD, "scopes": "admin"}), "entry 1 (shop): scopes: expected a"),
    "a time that is none": (listed({**GOOD, "expires": MARK}), "entry 1 (shop): expires: expected"),
    "a time without a zone": (
        listed({**GOOD, "expires": datetime(2027, 1, 1)}),
        "entry 1 (shop): expires: expected a date and time with a zone",
    ),
    "a time before all times": (
        listed({**GOOD, "expires": "0001-01-01T00:00:00+14:00"}),
        "entry 1 (shop): expires: expected a date and time with a zone",
    ),
    "a time after all times": (
        listed({**GOOD, "expires": "9999-12-31T23:59:59-14:00"}),
        "entry 1 (shop): expires: expected a date and time with a zone",
    ),
    "a day": (
        f"keys: [{{id: a, secret_sha256: '{HASH}', expires: 2027-01-01}}]",
        "a zone, such as",
    ),
    "a number as a time": (listed({**GOOD, "expires": 1}), "entry 1 (shop): expires: expected"),
    "no rate": (listed({**GOOD, "rows_per_s": 0}), "entry 1 (shop): rows_per_s: expected a number"),
    "a rate that is next to nothing": (
        listed({**GOOD, "rows_per_s": 5e-324}),
        "entry 1 (shop): rows_per_s: expected a number of 0.000001 or more",
    ),
    "a rate without end": (
        listed({**GOOD, "rows_per_s": float("inf")}),
        "entry 1 (shop): rows_per_s: expected a number",
    ),
    "a burst that is text": (
        listed({**GOOD, "burst_rows": MARK}),
        "entry 1 (shop): burst_rows: expected a whole number",
    ),
    "a burst without a rate": (
        listed({**GOOD, "burst_rows": 3}),
        "entry 1 (shop): found burst_rows without rows_per_s",
    ),
    "two lists": (
        f"keys: []\nkeys:\n- {{id: a, secret_sha256: '{HASH}'}}\n",
        "line 2: found a key that stands there already; expected each once",
    ),
    "scopes twice": (
        f"keys:\n- id: a\n  secret_sha256: '{HASH}'\n  scopes: [predict]\n  scopes: [admin]\n",
        "line 5: found a key that stands there already; expected each once",
    ),
    "an id twice": (
        listed(GOOD, {**GOOD, "id": "b"}, GOOD),
        "entry 3: found the id shop, which entry 1 has; expected each id once",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_a_sentence_that_says_where_and_what(name: str) -> None:
    """Which entry, what was expected; neither a secret nor a hash, wherever they were put."""
    text, said = BROKEN[name]
    with pytest.raises(SettingsError) as caught:
        parse_keys(text)
    told = str(caught.value)
    assert said in told
    for secret in (MARK, HASH, secret_of("a")):
        assert secret not in told


def test_a_new_key_that_expires_before_all_times_is_refused_in_words() -> None:
    """`sluice keys add` ended with a traceback."""
    with pytest.raises(SettingsError, match="expires: expected a date and time with a zone"):
        new_entry({**GOOD, "expires": "0001-01-01T00:00:00+14:00"})


def test_a_file_with_many_faults_is_told_in_a_few_lines() -> None:
    """They go to a log, which a file must not fill."""
    with pytest.raises(SettingsError) as caught:
        parse_keys(listed(*[{"id": "a"}] * 500))
    lines = str(caught.value).splitlines()
    assert len(lines) == MAX_LINES + 1
    assert lines[-1] == "and 480 more"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from([MARK, HASH, "shop"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*GOOD, "keys", "scopes", MARK]), inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(max_examples=80)
@given(st.text(max_size=60) | VALUES.map(lambda value: yaml.safe_dump({"keys": value})))
def test_any_text_is_keys_or_a_sentence_without_what_it_says(text: str) -> None:
    """A replica reads it while it answers: nothing else may be raised."""
    try:
        parse_keys(text)
    except SettingsError as error:
        assert MARK not in str(error)
        assert HASH not in str(error)
