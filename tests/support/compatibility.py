"""What in a new OpenAPI document would break a client of the old one: pure, from two documents to a
list of sentences.

A request may only become wider (whatever an old client sends is still taken), an answer only
narrower (whatever comes is what an old client expects); fields added to an answer are no break,
since readers skip what they do not know.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Json = dict[str, Any]
ANY_TYPE = "any"
SIZES = {
    "minLength": 1,
    "minItems": 1,
    "maxLength": -1,
    "maxItems": -1,
}  # sign: whether more is narrower
INFINITY = float("inf")


def breaking_changes(old: Json, new: Json) -> list[str]:
    """One sentence for each change that would break an old client; empty when there is none."""
    return list(_document(_expanded(old, old), _expanded(new, new)))


def _expanded(node: Any, document: Json, inside: tuple[str, ...] = ()) -> Any:
    """The node with every `$ref` replaced by what it names; a circle ends as a schema that allows
    anything.
    """
    if isinstance(node, list):
        return [_expanded(item, document, inside) for item in node]
    if not isinstance(node, dict):
        return node
    if isinstance(reference := node.get("$ref"), str):
        if reference in inside:
            return {}
        target: Any = document
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]
        beside = {key: value for key, value in node.items() if key != "$ref"}
        return _expanded(target, document, (*inside, reference)) | _expanded(
            beside, document, inside
        )
    return {key: _expanded(value, document, inside) for key, value in node.items()}


def _document(old: Json, new: Json) -> Iterator[str]:
    for path, methods in old["paths"].items():
        for method, operation in methods.items():
            where = f"{method.upper()} {path}"
            if method not in new["paths"].get(path, {}):
                yield f"{where}: was removed"
            else:
                yield from _operation(operation, new["paths"][path][method], where)


def _operation(old: Json, new: Json, where: str) -> Iterator[str]:
    known = {(p["in"], p["name"]) for p in old.get("parameters", ()) if p.get("required")}
    for parameter in new.get("parameters", ()):
        if parameter.get("required") and (parameter["in"], parameter["name"]) not in known:
            yield f"{where}: {parameter['in']} {parameter['name']} is now required"
    yield from _contents(
        old.get("requestBody", {}), new.get("requestBody", {}), f"{where}: request", request=True
    )
    for status, response in old["responses"].items():
        if status.startswith("2"):
            if status not in new["responses"]:
                yield f"{where}: answer {status} was removed"
            else:
                yield from _contents(
                    response, new["responses"][status], f"{where}: answer {status}", request=False
                )


def _contents(old: Json, new: Json, where: str, *, request: bool) -> Iterator[str]:
    for kind, content in old.get("content", {}).items():
        if kind not in new.get("content", {}):
            yield f"{where}: {kind} was removed"
        else:
            yield from _schema(
                content["schema"], new["content"][kind]["schema"], where, request=request
            )


def _schema(old: Json, new: Json, where: str, *, request: bool) -> Iterator[str]:
    """Every variant of the side that must be the narrower one needs a variant of the other side
    that holds it.
    """
    olds, news = _variants(old), _variants(new)
    for narrow in olds if request else news:
        attempts = [
            list(_variant(*((narrow, wide) if request else (wide, narrow)), where, request=request))
            for wide in (news if request else olds)
        ]
        if all(attempts):
            yield from min(attempts, key=len)


def _variants(schema: Json) -> list[Json]:
    """The alternatives of a schema, each with at most one type; the keys next to them hold for
    all.
    """
    alternatives = schema.get("anyOf") or schema.get("oneOf")
    if alternatives:
        common = {key: value for key, value in schema.items() if key not in ("anyOf", "oneOf")}
        return [
            variant for alternative in alternatives for variant in _variants(common | alternative)
        ]
    if isinstance(schema.get("type"), list):
        return [schema | {"type": kind} for kind in schema["type"]]
    return [schema]


def _variant(old: Json, new: Json, where: str, *, request: bool) -> Iterator[str]:
    narrow, wide = (old, new) if request else (new, old)
    found, wanted = narrow.get("type", ANY_TYPE), wide.get("type", ANY_TYPE)
    if wanted not in (found, ANY_TYPE) and (found, wanted) != ("integer", "number"):
        yield f"{where}: {old.get('type', ANY_TYPE)} became {new.get('type', ANY_TYPE)}"
        return
    yield from _values(narrow, wide, where, request=request)
    yield from _bounds(old, new, where, request=request)
    if "items" in old and "items" in new:
        yield from _schema(old["items"], new["items"], f"{where}[]", request=request)
    if isinstance(old.get("additionalProperties"), dict) and isinstance(
        new.get("additionalProperties"), dict
    ):
        yield from _schema(
            old["additionalProperties"], new["additionalProperties"], f"{where}.*", request=request
        )
    yield from _fields(old, new, where, request=request)


def _values(narrow: Json, wide: Json, where: str, *, request: bool) -> Iterator[str]:
    allowed, needed = _enum(wide), _enum(narrow)
    if allowed is not None and needed is None:
        yield f"{where}: " + (
            f"only {allowed} are taken now" if request else f"no longer limited to {allowed}"
        )
    elif (
        allowed is not None
        and needed is not None
        and (more := [value for value in needed if value not in allowed])
    ):
        yield f"{where}: " + (f"{more} no longer taken" if request else f"may now be {more}")


def _enum(schema: Json) -> list[Any] | None:
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _bounds(old: Json, new: Json, where: str, *, request: bool) -> Iterator[str]:
    narrow, wide = (old, new) if request else (new, old)
    word = "narrower" if request else "wider"
    if _lowest(narrow) < _lowest(wide):
        yield f"{where}: lower bound is {word}: {_lowest(old)[0]} became {_lowest(new)[0]}"
    if _highest(narrow) > _highest(wide):
        yield f"{where}: upper bound is {word}: {_highest(old)[0]} became {_highest(new)[0]}"
    for key, sign in SIZES.items():
        missing = 0 if sign > 0 else INFINITY
        if sign * narrow.get(key, missing) < sign * wide.get(key, missing):
            yield f"{where}: {key} is {word}: {old.get(key)} became {new.get(key)}"
    for key in ("pattern", "multipleOf", "format"):
        if key in wide and wide[key] != narrow.get(key):
            yield f"{where}: {key} changed: {old.get(key)} became {new.get(key)}"


def _lowest(schema: Json) -> tuple[float, int]:
    """The lower bound as a sortable pair: an exclusive one lies just above its number."""
    return max(
        (schema.get("minimum", -INFINITY), 0), (schema.get("exclusiveMinimum", -INFINITY), 1)
    )


def _highest(schema: Json) -> tuple[float, int]:
    return min((schema.get("maximum", INFINITY), 0), (schema.get("exclusiveMaximum", INFINITY), -1))


def _fields(old: Json, new: Json, where: str, *, request: bool) -> Iterator[str]:
    before: Mapping[str, Json] = old.get("properties", {})
    after: Mapping[str, Json] = new.get("properties", {})
    for name, schema in before.items():
        if name in after:
            yield from _schema(schema, after[name], f"{where}.{name}", request=request)
        else:
            yield f"{where}.{name}: was removed"
    must_before, must_after = set(old.get("required", ())), set(new.get("required", ()))
    if request:
        yield from (f"{where}.{name}: is now required" for name in sorted(must_after - must_before))
    else:
        yield from (
            f"{where}.{name}: may now be missing"
            for name in sorted((must_before - must_after) & set(after))
        )
