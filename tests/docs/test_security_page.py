"""docs/security.md: every risk of the two lists has its row, and tests that exist."""

import ast
import re

import pytest
from documents import ROOT

TEXT = (ROOT / "docs/security.md").read_text()
RISKS = [*(f"API{n}" for n in range(1, 11)), *(f"ML{n:02}" for n in range(1, 11))]
# Nothing is done against these but what stands at others.
WITHOUT_A_TEST = {"ML03", "ML04"}
# A long name stands on a line of its own.
NAMED = re.compile(r"(test_\w+\.py)::\s*(test_\w+)")


@pytest.mark.parametrize(("module", "name"), NAMED.findall(TEXT))
def test_a_test_that_the_page_names_exists(module: str, name: str) -> None:
    """A test that was renamed would leave the page with a claim that nothing shows."""
    paths = list((ROOT / "tests").rglob(module))
    assert len(paths) == 1, f"{module}: found {len(paths)} modules, expected one"
    functions = {
        node.name
        for node in ast.parse(paths[0].read_text()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert name in functions, f"{module} has no {name}"


def test_every_risk_has_one_row_and_a_test_or_says_that_there_is_none() -> None:
    """In the order of the lists; both say something in all of their columns."""
    rows = re.findall(r"^\| ((?:API|ML)\d+) [^|]+\| [^|]{5,} \| [^|]{5,} \|$", TEXT, re.MULTILINE)
    assert rows == RISKS
    shown = re.findall(r"^((?:API|ML)\d+) +(test_\w+\.py::|no test$)", TEXT, re.MULTILINE)
    assert list(dict.fromkeys(risk for risk, _ in shown)) == RISKS
    assert {risk for risk, what in shown if what == "no test"} == WITHOUT_A_TEST
    n_named = sum(what != "no test" for _, what in shown)
    assert n_named == len(NAMED.findall(TEXT)) > 30


def test_what_is_not_defended_has_a_section_of_its_own() -> None:
    """Whoever reads one part only should find it by its heading."""
    section = TEXT.partition("## What Sluice does not defend against\n")[2].partition("\n## ")[0]
    assert section.count("\n* **") + section.startswith("* **") >= 8


# Of monitoring: what it keeps, where, who may send or see it, and what that can be used for.
MONITORING = (
    *("prediction log", "`keep_days`", "`label_keys`", "`/v1/drift`", "`/v1/quality`"),
    *("scope `feedback`", "Poisoning by labels", "`sluice retrain`", "`quality.json`"),
)


@pytest.mark.parametrize("word", MONITORING)
def test_the_page_knows_what_monitoring_keeps_and_takes(word: str) -> None:
    """Rows of people, and labels by which versions are judged and trained, are worth attacking."""
    assert word in TEXT


@pytest.mark.parametrize(
    "claim",
    ["nothing that clients send is trained on;", "Sluice empties no log and no cache"],
)
def test_the_page_claims_nothing_that_has_not_been_so_since_monitoring(claim: str) -> None:
    """`sluice retrain` trains on logged rows, and servers delete days of the log."""
    assert claim not in TEXT
