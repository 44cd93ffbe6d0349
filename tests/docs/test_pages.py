"""What README and docs/ name exists: links, files, settings, errors, metrics, routes, rooms."""

import importlib
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from documents import NEEDS, ROOT, Block, blocks_of, inline_code, pages, prose_of
from pydantic import BaseModel

from benchmarks.simulator.faults import Stall, Stalls
from benchmarks.simulator.scenarios import SCENARIOS
from benchmarks.simulator.table import COLUMNS
from serve_app.cluster.declared_metrics import (
    DECLARED,
    MOST_SERIES,
    OF_A_SERVER,
    OF_THE_COORDINATOR,
    Metric,
)
from serve_app.errors import http_errors
from serve_app.rollout.view import RolloutView
from serve_app.settings import (
    Rollout,
    ServerArgs,
    Setting,
    Table,
    VersionArgs,
    VersionConfig,
    parse_settings,
)
from serve_app.statistics.histogram import EDGES_S

PAGES = [pytest.param(page, id=str(page.relative_to(ROOT))) for page in pages()]
BLOCKS = [pytest.param(block, id=block.place) for page in pages() for block in blocks_of(page)]
FOLDERS = "serve_app|training|benchmarks|observability|tests|docs|k8s|docker|requirements"
FILE = re.compile(
    rf"(?:(?:{FOLDERS}|\.ci)/[\w./-]*\w/?|[\w.-]+\.(?:yaml|toml)|Makefile|Dockerfile)"
)
READERS_OWN = {"my.yaml", "keys.yaml"}  # files of the reader's, which an example mentions


def of_language(*languages: str) -> list[Any]:
    """The blocks of these languages, as parameters."""
    return [block for block in BLOCKS if block.values[0].language in languages]  # type: ignore[attr-defined]


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_says_what_it_is_and_what_becomes_of_it(block: Block) -> None:
    """An unknown language or tag would be checked by nothing."""
    tags = {
        "console": {"run", "server", *(f"needs-{what}" for what in NEEDS)},
        "python": {"run"},
        "yaml": {tag for tag in block.tags if tag.startswith("in=")},
        "json": set(),
        "text": set(),
    }
    assert block.language in tags, f"{block.place}: found {block.language!r}"
    unknown = {tag for tag in block.tags if not tag.startswith("runs-in=")} - tags[block.language]
    assert not unknown, block.place
    assert len(block.tags) <= 1
    # Those of README are run against a server, and those of no other page.
    assert "server" not in block.tags or block.page.name == "README.md", block.place
    assert block.tags or block.language != "console", (
        f"{block.place}: who runs it, or what needs it?"
    )
    if block.runs_in:
        assert (ROOT / block.runs_in).is_file(), block.place
    if block.language == "console":
        assert block.commands, f"{block.place}: no line begins with `$ `"
    else:
        assert not re.search(r"^\$ ", block.text, re.MULTILINE), block.place


@pytest.mark.parametrize("block", of_language("yaml"))
def test_yaml_is_what_our_settings_accept(block: Block) -> None:
    """A table is a table, and an application has arguments and tables of ours.

    A piece of one of our files stands in that file, line by line.
    """
    values = yaml.safe_load(block.text)
    if block.tags:
        text = (ROOT / block.tags[0].removeprefix("in=")).read_text()
        assert f"\n{block.text}" in f"\n{text}", block.place
        return
    if isinstance(values, dict):
        parse_settings(Table, values.get("user_config", values), block.place)
        return
    for application in values:
        is_server = application["import_path"] == "serve_app.app:server"
        assert is_server or application["import_path"] == "serve_app.app:version"
        parse_settings(ServerArgs if is_server else VersionArgs, application["args"], block.place)
        [deployment] = application["deployments"]
        assert deployment["name"] == ("Server" if is_server else "Version")
        kind = Table if is_server else VersionConfig
        parse_settings(kind, deployment["user_config"], block.place)


@pytest.mark.parametrize("block", of_language("python", "json"))
def test_python_and_json_can_be_read(block: Block) -> None:
    """Compiled, not run: what is run says so in its fence."""
    if block.language == "json":
        json.loads(block.text)
    else:
        compile(block.text, block.place, "exec")


def anchors_of(page: Path) -> set[str]:
    """The anchors that a page's headings have on GitHub."""
    headings = re.findall(r"^#+ (.*)$", prose_of(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: Path) -> None:
    """Links into this project; those to other sites are not asked."""
    for target in re.findall(r"\]\(([^()\s]+)\)", prose_of(page)):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        found = (page.parent / name).resolve() if name else page
        assert found.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors_of(found), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES)
def test_files_and_names_in_code_spans_exist(page: Path) -> None:
    """`serve_app/http/edge.py` is a file, and `serve_app.scaling:by_load` can be imported."""
    for span in inline_code(page):
        word = span.split()[0]
        if FILE.fullmatch(word) and word not in READERS_OWN:
            near = (ROOT / word, page.parent / word, ROOT / "k8s/base" / word)
            assert any(path.exists() for path in near), f"{page.name}: {word}"
        if name := re.fullmatch(r"(serve_app(?:\.\w+)+):(\w+(?:\|\w+)*)", word):
            module = importlib.import_module(name[1])
            assert all(hasattr(module, each) for each in name[2].split("|")), word


def rows_of(page: str) -> list[list[str]]:
    """The rows of a page's tables, cell by cell, without the backticks."""
    text = (ROOT / page).read_text()
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip().strip("`") for cell in line.strip("| ").split(" | ")] for line in lines]


def settings_of(kind: type[BaseModel], prefix: str = "") -> dict[str, Any]:
    """Every leaf of a setting by its dotted name, with its default; `–` where it has none."""
    found: dict[str, Any] = {}
    for name, field in kind.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if isinstance(default, Setting):
            found |= settings_of(type(default), f"{prefix}{name}.")
        elif field.is_required() or default is None:
            found[prefix + name] = "–"
        else:
            values = kind.model_construct(**{name: default}).model_dump(mode="json")
            found[prefix + name] = values[name]
    return found


def test_every_setting_stands_in_the_settings_page_with_its_default() -> None:
    """The page is a copy of the types by hand; this is what keeps it one."""
    from serve_app.settings import Rollout, VersionEntry

    wanted = [*settings_of(ServerArgs).items(), *settings_of(VersionArgs).items()]
    wanted += settings_of(Table).items()
    wanted += settings_of(VersionEntry, "versions.<v>.").items()
    wanted += settings_of(Rollout, "rollout.").items()
    shown = [(row[0], row[1]) for row in rows_of("docs/settings.md") if len(row) == 3]
    for name, default in wanted:
        defaults = [text for shown_name, text in shown if shown_name == name]
        assert defaults, f"docs/settings.md: {name} is missing"
        values = [text if text == "–" else yaml.safe_load(text) for text in defaults]
        assert default in values, f"docs/settings.md: {name}: found {values}, expected {default}"


def test_every_error_stands_in_the_errors_page_and_no_other() -> None:
    """Code and status, as the classes have them."""
    shown = {(row[1], row[0]) for row in rows_of("docs/errors.md") if row[0].isdecimal()}
    assert shown == {(error.code, str(error.status)) for error in http_errors()}


def test_every_metric_stands_in_the_metrics_page_and_no_other() -> None:
    """With kind, labels and meaning as declared."""
    text = (ROOT / "docs/metrics.md").read_text()
    sections = {
        "## Of a server": OF_A_SERVER,
        "## Of a coordinator": OF_THE_COORDINATOR,
    }
    for heading, metrics in sections.items():
        section = text[text.index(heading) :].partition("\n## ")[0]
        rows = [line for line in section.splitlines() if line.startswith("| `sluice_")]
        assert rows == [
            f"| `{metric.name}` | {metric.kind} | {labels_of(metric)} | {metric.help} |"
            for metric in metrics
        ]
    assert len(re.findall(r"^\| `sluice_", text, re.MULTILINE)) == len(DECLARED)


def labels_of(metric: Metric[Any]) -> str:
    """The labels as the cell of a table."""
    return ", ".join(f"`{tag}`" for tag in metric.tags) or "–"


def test_the_edges_and_bounds_that_the_metrics_page_tells_are_those_in_the_code() -> None:
    """An objective is an edge, or its share is an estimate."""
    text = " ".join((ROOT / "docs/metrics.md").read_text().split())
    in_ms = [f"{1000 * edge:g}" for edge in EDGES_S if edge < 1]
    in_s = [f"{edge:g}" for edge in EDGES_S if edge >= 1]
    shown = f"{', '.join(in_ms[:-1])} and {in_ms[-1]} ms, {', '.join(in_s[:-1])} and {in_s[-1]} s"
    assert f"The edges are {shown}." in text
    assert f"at most {MOST_SERIES} series of a metric" in text


def test_every_metric_that_a_page_names_is_declared() -> None:
    """A name that was given up must not stay in a page."""
    known = {metric.name for metric in DECLARED} | {metric.exported_name for metric in DECLARED}
    for page in pages():
        for span in inline_code(page):
            for name in re.findall(r"\b(?:ray_)?sluice_[a-z]\w+", span):
                assert name in known, f"{page.name}: {name}"


def test_every_route_stands_in_the_requests_page() -> None:
    """All paths of the document of the interface that is kept."""
    document = json.loads((ROOT / "tests/openapi/churn.json").read_text())
    shown = (ROOT / "docs/requests.md").read_text()
    for path, methods in document["paths"].items():
        for method in methods:
            assert f"{method.upper()} {path}`" in shown, f"{method} {path}"


def test_every_file_that_the_design_page_names_exists() -> None:
    """Pictures and tables name files below serve_app/ or the project's folder."""
    text = (ROOT / "docs/design.md").read_text()
    names = set(re.findall(r"(?<![\w./<>])[\w-]+(?:/[\w-]+)*\.(?:py|yaml|md|json|toml)\b", text))
    names |= set(re.findall(r"(?<![\w./<>])(?:\w+/)+(?=[\s`,)])", text))
    made_at_run_time = {"manifest.json", "00000001.json"}
    missing = [
        name
        for name in sorted(names - made_at_run_time)
        if not any((ROOT / near / name).exists() for near in (".", "serve_app", "docs"))
    ]
    assert not missing


def test_the_rooms_of_the_design_page_are_those_that_import_linter_checks() -> None:
    """The same layers, in the same order."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    [layers] = [one["layers"] for one in contracts["contracts"] if one["type"] == "layers"]
    line = " → ".join(layer.replace("serve_app.", "") for layer in layers)
    assert line in (ROOT / "docs/design.md").read_text()


def said_of_simulations() -> str:
    """What docs/rollouts.md says of simulated rollouts, with their table."""
    text = (ROOT / "docs/rollouts.md").read_text()
    return text[text.index("## Shown by simulation") :]


def simulated() -> list[dict[str, str]]:
    """The rows of that table by its columns, which are those that `make simulate` prints."""
    lines = [line for line in said_of_simulations().splitlines() if line.startswith("| ")]
    heading, _, *rows = [tuple(line.strip("| ").split(" | ")) for line in lines]
    assert heading == COLUMNS
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


def good_ones() -> list[dict[str, str]]:
    """Of these the rows whose candidate is no worse than stable."""
    return [row for row in simulated() if SCENARIOS[row["scenario"]].expected.most_aborted == 0.01]


def test_the_table_of_simulated_rollouts_has_each_scenario_once() -> None:
    """What is shown to be reached is all that `make simulate` looks at, in its order."""
    assert [row["scenario"] for row in simulated()] == list(SCENARIOS)


def test_what_is_said_of_the_simulated_rollouts_is_the_sum_of_their_table() -> None:
    """The bold sentence is what people remember: runs, scenarios, aborted, held, and the bound."""
    good = good_ones()
    n_good = sum(int(row["runs"]) for row in good)
    n_held = sum(round(int(row["runs"]) * float(row["held"].rstrip(" %")) / 100) for row in good)
    n_all = sum(int(row["runs"]) for row in simulated())
    said = " ".join(said_of_simulations().split())
    assert f"**{n_good:,} runs of the {len(good)} scenarios with a candidate that is no" in said
    assert {row["aborted"] for row in good} == {"0.0 %"}
    assert f"{n_held} were held" in said
    assert f"In all {n_all:,} runs no answer was lost" in said
    (bound_percent,) = re.findall(r"less than ([\d.]+) %", said)
    assert 100 * (1 - 0.05 ** (1 / n_good)) < float(bound_percent)


@pytest.mark.parametrize(
    ("column", "expected"),
    [("answers lost", "0"), ("cannot be taken away", "0"), ("missed", "–")],
)
def test_no_simulated_rollout_lost_an_answer_was_stuck_or_missed_what_it_must_reach(
    column: str, expected: str
) -> None:
    """As the page says of all runs."""
    assert {row["scenario"] for row in simulated() if row[column] != expected} == set()


def test_the_longest_stop_that_was_simulated_is_the_one_that_the_page_tells() -> None:
    """Of a process that a version runs in. Nothing is shown of longer ones, which the judge may
    take for a candidate that fails.
    """
    longest_s = 0.0
    for row in good_ones():
        for fault in SCENARIOS[row["scenario"]].faults:
            if isinstance(fault, Stall) and fault.of != "coordinator":
                longest_s = max(longest_s, fault.lasts_s)
            if isinstance(fault, Stalls) and fault.of != "coordinator":
                longest_s = max(longest_s, fault.most_s)
    said = " ".join(said_of_simulations().split())
    assert f"where a version's process stops for at most {longest_s:g} s" in said


def test_the_settings_that_the_page_on_rollouts_shows_are_the_defaults() -> None:
    """A person copies the two names and believes the rest."""
    block = next(
        block for block in blocks_of(ROOT / "docs/rollouts.md") if "yaml" in block.language
    )
    shown = yaml.safe_load(block.text)["user_config"]["rollout"]
    defaults = Rollout.model_validate({"stable": "1.0.0", "candidate": "1.1.0"})
    assert Rollout.model_validate(shown) == defaults


def test_an_answer_of_a_rollout_is_shown_in_the_order_of_its_fields() -> None:
    """What begins with one sentence does so on the page too."""
    text = (ROOT / "docs/rollouts.md").read_text()
    (shown,) = re.findall(r'^(\{"now":"…","rollout".*)$', text, re.MULTILINE)
    names = re.findall(r'"([a-z_]+)":', shown)
    fields = list(RolloutView.model_fields)
    assert names == sorted(names, key=fields.index)
    assert names[0] == fields[0]


def test_the_design_page_names_each_module_of_each_room() -> None:
    """Of thirty files a new reader needs to know which is which."""
    text = (ROOT / "docs/design.md").read_text()
    rooms = text.partition("## The rooms")[2].partition("## ")[0]
    modules = ROOT.glob("serve_app/*/[a-z]*.py")
    # Of commands and models the page says that each is a file with its name.
    named = [path for path in modules if path.parent.name not in ("commands", "models")]
    assert len(named) > 100
    assert not [path for path in named if not re.search(rf"\b{path.stem}\b", rooms)]


def test_the_shipped_file_answers_on_this_machine_alone() -> None:
    """As the warning on the first page says of predictions and commands."""
    config = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    assert config["http_options"]["host"] == "127.0.0.1"


def test_the_first_page_is_short_and_begins_with_what_a_sluice_is() -> None:
    """A stranger reads this much on a Monday morning, and finds the two commands."""
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 125
    assert text.splitlines()[2].startswith("A sluice is the gate in a river")
    commands = [command for block in blocks_of(ROOT / "README.md") for command in block.commands]
    assert "make serve" in commands
    assert "make test" in commands


def test_prose_has_lines_of_a_hundred_columns() -> None:
    """As code has. Tables, blocks, headings and the addresses of links may be longer."""
    long = []
    for page in pages():
        for n, line in enumerate(prose_of(page).splitlines(), start=1):
            is_prose = not re.match(r"\s*(\||#|\[[^\]]+\]: )", line)
            if is_prose and len(line) > 100:
                long.append(f"{page.relative_to(ROOT)}:{n}: {len(line)} columns")
    assert not long


def test_the_six_words_are_explained_before_they_are_used() -> None:
    """The table of words has six rows, and none of them stands above it."""
    text = (ROOT / "README.md").read_text()
    above, _, rest = text.partition("## Six words")
    rows = re.findall(r"^\| \*\*(.+?)\*\*", rest.partition("## Start")[0], re.MULTILINE)
    assert len(rows) == 6
    words = "|".join(word for row in rows for word in row.split(", "))
    assert not re.findall(rf"\b(?:{words})s?\b", above)
    assert "```" not in above


def test_the_warning_about_the_port_is_a_paragraph_of_its_own() -> None:
    """Not a bracket in the cell of a table."""
    for page in ("README.md", "docs/rollouts.md"):
        paragraphs = prose_of(ROOT / page).split("\n\n")
        assert any(re.match(r"\*\*Whoever reaches the", part.strip()) for part in paragraphs), page
