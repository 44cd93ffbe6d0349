"""Commands that README and docs/ mark with `run`, run for real in a copy of a reader's folder."""

import re
import shutil
from pathlib import Path

import pytest
from clone import Clone
from documents import ROOT, blocks_of, pages

README = ROOT / "README.md"
OTHERS = [
    page
    for page in pages()
    if page != README and any(block.tags == ("run",) for block in blocks_of(page))
]


def test_the_pipeline_of_the_readme_becomes_a_version(clone: Clone) -> None:
    """Fitted by the script as printed, bundled, compiled, and compared with the first version."""
    [bundled] = [text for command, text in clone.output.items() if "bundle churn" in command]
    assert "runtime: onnx" in bundled
    [diff] = [text for command, text in clone.output.items() if command.startswith("sluice diff")]
    assert "no client of 1.0.0 breaks" in diff
    assert (clone.folder / "model_store/churn/2.0.0/report.html").is_file()


def test_the_second_version_of_the_readme_is_trained(clone: Clone) -> None:
    """By the recipe that made the first one."""
    assert (clone.folder / "model_store/churn/1.1.0/manifest.json").is_file()


@pytest.mark.parametrize("page", OTHERS, ids=[page.name for page in OTHERS])
def test_the_commands_of_a_page_run_as_printed(clone: Clone, page: Path) -> None:
    """After README's own, in the order of the page; each ends well, and all print but scripts, and
    `sluice new`, which hands its output to a process of its own.

    The shipped file is there again for the next page: `sluice new` adds a model to it.
    """
    for block in blocks_of(page):
        if block.tags == ("run",):
            clone.run(block)
            for command in block.commands:
                assert clone.output[command] or re.search(r"fit\.py|sluice new", command), command
    shutil.copy(ROOT / "serve_config.yaml", clone.folder)


def test_what_a_check_prints_is_what_the_page_shows(clone: Clone) -> None:
    """The page shows word for word what a run prints."""
    page = ROOT / "docs/cluster.md"
    [block] = [block for block in blocks_of(page) if block.tags == ("run",)]
    clone.run(block)
    shown = [line for line in block.text.splitlines() if not line.startswith("$ ")]
    assert clone.output["sluice check serve_config.yaml"].split() == " ".join(shown).split()


def test_the_key_that_keygen_makes_is_the_one_that_signs(clone: Clone) -> None:
    """docs/bundles.md: `public_keys` as printed names the key of the signature."""
    for block in blocks_of(ROOT / "docs/bundles.md"):
        if "sluice keygen" in block.text and not (clone.folder / "sluice.key").exists():
            clone.run(block)
    printed = clone.output["sluice keygen sluice.key"]
    [key] = re.findall(r'public_keys: \["(.+)"\]', printed)
    [signed] = [text for command, text in clone.output.items() if command.startswith("sluice sign")]
    assert key in signed
