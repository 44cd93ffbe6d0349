"""`requirements/audit.sh`, which `make audit` runs: what it says and how it ends.

pip-audit is played here: whether the real one reaches its service is the machine's business.
"""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "requirements/audit.sh"
PACKAGE = "one==1.0 --hash=sha256:00\n"
# As the real one: it ends with 1 for a vulnerability as for a service that does not answer, and
# writes its list in the first case alone.
PIP_AUDIT = """#!/bin/sh
echo "$@" >> "$0.called"
while [ $# -gt 0 ]; do
    case "$1" in
        --requirement) file="$2" ;;
        --output) list="$2" ;;
    esac
    shift
done
case "$file" in
    *away*) echo "no route to the service" >&2; exit 1 ;;
    *bad*) [ -n "${list:-}" ] && echo '{}' > "$list" || echo "one 1.0 PYSEC-1"; exit 1 ;;
    *empty*) exit 0 ;;
    *) echo '{}' > "$list" ;;
esac
"""


def audited(folder: Path, *names: str) -> subprocess.CompletedProcess[str]:
    """The script over lock files of these names."""
    program = folder / "pip-audit"
    program.write_text(PIP_AUDIT)
    program.chmod(0o755)
    for name in names:
        (folder / f"{name}.txt").write_text(PACKAGE)
    return subprocess.run(
        [SCRIPT, program, folder / "sbom", *(folder / f"{name}.txt" for name in names)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_files_of_which_nothing_is_known_end_with_0_and_a_list_each(tmp_path: Path) -> None:
    """And lists of an earlier run are gone: they would be taken for those of today."""
    (tmp_path / "sbom").mkdir()
    (tmp_path / "sbom/older.cdx.json").write_text("{}")
    done = audited(tmp_path, "serve", "train")
    assert done.returncode == 0, done
    assert done.stdout.count("no vulnerability is known") == 2
    assert {file.name for file in (tmp_path / "sbom").iterdir()} == {
        "serve.cdx.json",
        "train.cdx.json",
    }
    calls = (tmp_path / "pip-audit.called").read_text().splitlines()
    assert all("--strict --require-hashes --disable-pip" in call for call in calls)


def test_what_is_known_is_shown_and_the_files_after_it_are_looked_at(tmp_path: Path) -> None:
    """With 1, so that a pipeline stops; the list has it too."""
    done = audited(tmp_path, "bad", "serve")
    assert done.returncode == 1, done
    assert "one 1.0 PYSEC-1" in done.stdout
    assert len(list((tmp_path / "sbom").iterdir())) == 2


@pytest.mark.parametrize("name", ["away", "empty"])
def test_no_answer_is_never_taken_for_a_good_one(tmp_path: Path, name: str) -> None:
    """Without a network it ends with 3 and a sentence, also after a file that could be checked."""
    done = audited(tmp_path, "serve", name)
    assert done.returncode == 3, done
    assert f"{name}.txt could not be checked" in done.stderr
    assert ("no route to the service" in done.stderr) == (name == "away")


def test_make_audit_looks_at_every_lock_file_with_a_locked_tool() -> None:
    """Its own packages have hashes too, and no lock file names an index."""
    makefile = (ROOT / "Makefile").read_text()
    assert "pip-audit build/sbom requirements/*.txt" in makefile
    assert "$(COMPILE) audit.in -o audit.txt" in makefile
    for file in sorted((ROOT / "requirements").glob("*.txt")):
        text = file.read_text()
        assert "://" not in text, f"{file.name}: an index or a URL"
        for block in re.split(r"\n(?=\w)", text.strip()):
            assert block.startswith("#") or "--hash=sha256:" in block, f"{file.name}: {block}"
