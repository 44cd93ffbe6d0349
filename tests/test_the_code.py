"""Rules of the code that import-linter and ruff do not check: no circles, no state in classes."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp

OWN = Path(__file__)
ROOT = OWN.parents[1]
PACKAGES = ("serve_app", "training", "benchmarks")
# Ray makes the Edge itself and can hand it nothing (H4): the door is put there by a function.
STATE_OF_THE_PROCESS = {"serve_app/http/edge.py: _Process.door"}


def imported_by(graph: grimp.ImportGraph) -> dict[str, set[str]]:
    """By module, what has to be imported before it: also the packages that another one is in."""
    found: dict[str, set[str]] = {}
    for module in graph.modules:
        wanted = set(graph.find_modules_directly_imported_by(module))
        for name in list(wanted):
            words = name.split(".")
            wanted |= {".".join(words[:n]) for n in range(1, len(words))}
        # A module's own packages are half imported already, and nothing is expected of them.
        found[module] = {name for name in wanted if not f"{module}.".startswith(f"{name}.")}
    return found


def test_no_module_needs_itself_by_a_detour() -> None:
    """A circle that a late import hides counts too; one of types alone does not."""
    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True, cache_dir=None)
    try:
        TopologicalSorter(imported_by(graph)).prepare()
    except CycleError as error:
        raise AssertionError(" needs ".join(reversed(error.args[1]))) from None


def attributes_set_on_classes(path: Path) -> Iterator[str]:
    """Where a module sets an attribute of one of its classes, or of `cls`, outside of its body."""
    tree = ast.parse(path.read_text())
    classes = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)} | {"cls"}
    for node in ast.walk(tree):
        targets = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AugAssign | ast.AnnAssign):
            targets = [node.target]
        for target in targets:
            is_attribute = isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name)
            if is_attribute and target.value.id in classes:
                yield f"{path.relative_to(ROOT)}: {target.value.id}.{target.attr}"


def collections_of_classes(path: Path) -> Iterator[str]:
    """Where a class begins with a list, dict or set of its own that all its objects would share."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ClassDef):
            continue
        for line in node.body:
            # What is annotated as a Mapping cannot be filled: mypy says so.
            is_fixed = isinstance(line, ast.AnnAssign) and "Mapping" in ast.unparse(line.annotation)
            is_value = isinstance(line, ast.Assign | ast.AnnAssign) and not is_fixed
            if is_value and is_filled_later(line.value):
                yield f"{path.relative_to(ROOT)}: {node.name}, line {line.lineno}"


def is_filled_later(value: ast.expr | None) -> bool:
    """Whether a value is an empty collection: a constant of a class has something in it."""
    if isinstance(value, ast.List | ast.Set):
        return not value.elts
    if isinstance(value, ast.Dict):
        return not value.keys
    is_call = isinstance(value, ast.Call) and isinstance(value.func, ast.Name)
    return is_call and value.func.id in {"list", "dict", "set", "Counter", "defaultdict", "deque"}


def test_no_class_holds_state_but_the_one_that_ray_forces() -> None:
    """Two servers in one process, as in the tests, would share it."""
    paths = [path for package in PACKAGES[:2] for path in (ROOT / package).rglob("*.py")]
    assert paths
    assert {line for path in paths for line in attributes_set_on_classes(path)} == (
        STATE_OF_THE_PROCESS
    )
    assert [line for path in paths for line in collections_of_classes(path)] == []


def test_make_test_long_names_each_module_that_has_a_longer_form() -> None:
    """One that is not named there would never be run so."""
    recipe = (ROOT / "Makefile").read_text().partition("\ntest-long:")[2].partition("\n\n")[0]
    tests = sorted((ROOT / "tests").rglob("test_*.py"))
    long = [path for path in tests if '"SLUICE_LONG"' in path.read_text() and path != OWN]
    assert len(long) > 3
    assert [path.name for path in long if str(path.relative_to(ROOT)) not in recipe] == []
