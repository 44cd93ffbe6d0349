"""Every command in README and docs/, checked without running it."""

import importlib.util
import json
import re
import shutil
import subprocess
import warnings
from itertools import pairwise
from typing import Any

import pytest
import typer
from documents import ROOT, Block, blocks_of, inline_code, pages, programs

from serve_app.contract.rows import RowReader
from serve_app.errors import HttpError
from serve_app.models import get_spec

CONSOLE = [
    pytest.param(block, id=block.place)
    for page in pages()
    for block in blocks_of(page)
    if block.language == "console"
]
SHELL = {"cat", "echo", "eval", "export", "grep", "id", "kill", "sleep", "source"}
# Programs that no test has: a block with one of them must say what it needs.
FOREIGN = {"caddy", "docker", "helm", "kind", "kubectl", "openssl", "syft"}
# Their sub-commands that pages show, each with its options, as they were looked up once. What is
# not here is a slip, or has to be looked up; kubectl's are asked of kubectl itself where it is.
FOREIGN_OPTIONS = {
    "caddy reverse-proxy": "--from --to",
    "docker build": "-t --target --build-arg",
    "docker buildx build": "--target --output",
    "docker buildx imagetools inspect": "",
    "docker compose": "--build",
    # `-c` is the option of a shell in the container.
    "docker exec": "-c",
    "docker cp": "",
    "docker inspect": "-f",
    "docker logs": "-f",
    "docker push": "",
    "docker run": "--cap-drop -e --memory --name -p --read-only --rm --security-opt --shm-size "
    "--stop-timeout --tmpfs --user -v",
    "docker stats": "",
    "docker stop": "-t",
    "helm install": "--create-namespace -n --version --wait",
    "helm repo add": "",
    "kind create cluster": "",
    "kind delete cluster": "",
    "kind load docker-image": "",
    "kubectl apply": "-f -k",
    "kubectl create job": "--from -n",
    "kubectl create secret generic": "--dry-run --from-file --from-literal -n -o",
    "kubectl delete": "--all -k -n",
    "kubectl exec": "-c -n",
    "kubectl get": "--field-selector -n --sort-by -w",
    "kubectl kustomize": "",
    "kubectl label": "",
    "kubectl logs": "-c -f -l -n --prefix",
    "kubectl port-forward": "-n",
    "kubectl wait": "--all --for -n --timeout",
    "openssl rand": "-base64",
    "syft scan": "-o",
}
# What the reader has, or makes while reading; everything else that looks like a file must exist.
READERS_OWN = {
    "customer.json",
    "customers.csv",
    "loans.csv",
    "plans.csv",
    "plans.joblib",
    "deliveries.csv",
    "fit.py",
    "fitted.joblib",
    "holdout.csv",
    "labels.csv",
    "rows.csv",
    "rollout.yaml",
    "scored.csv",
    "sluice.key",
    "keys.yaml",
    "sbom.json",
}
# A model that the reader adds, and one with the same command line.
EXAMPLE_MODELS = {"shop.loan": "churn", "shop.plans": "churn"}
# 8001: a second cluster, next to the first one's forward.
URL = re.compile(r"http://(?:127\.0\.0\.1|localhost):800[01](/[\w/.-]*)?(?:\?.*)?")
PREDICT = ("/v1/predict", "/predict")


def click_command(name: str) -> Any:
    """The command line of a program, imported when it is needed: some take a second."""
    if name == "sluice":
        from serve_app.commands.main import app as sluice

        return typer.main.get_command(sluice)
    if name == "training":
        from training.cli import app as training

        return typer.main.get_command(training)
    if name == "benchmarks":
        from benchmarks.cli import app as benchmarks

        return typer.main.get_command(benchmarks)
    if name == "benchmarks.chaos":
        from benchmarks.chaos.cli import app as chaos

        return typer.main.get_command(chaos)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own models warn when they are imported
        from ray.scripts.scripts import cli as ray
        from ray.serve.scripts import cli as serve
    return serve if name == "serve" else ray


def leaf_of(name: str, words: list[str]) -> tuple[Any, list[str]]:
    """The sub-command that words name, and the words after it."""
    if name == "sluice" and words[:1] in (["new"], ["retrain"]):
        # They hand their words on.
        name = "training"
    command = click_command(name)
    rest = words
    while hasattr(command, "get_command") and rest and not rest[0].startswith("-"):
        found = command.get_command(None, rest[0])
        assert found is not None, f"{name}: there is no command {rest[0]!r}"
        command, rest = found, rest[1:]
    return command, rest


def check_click(name: str, words: list[str]) -> None:
    """Parse a command line as the program would, and run nothing."""
    command, rest = leaf_of(name, words)
    assert not hasattr(command, "get_command"), f"{name} {' '.join(words)}: which sub-command?"
    try:
        command.make_context(name, list(rest))
    except Exception as error:
        pytest.fail(f"{name} {' '.join(words)}: {getattr(error, 'message', error)}")


def make_targets() -> set[str]:
    """What `make` can be asked for."""
    text = (ROOT / "Makefile").read_text()
    return set(re.findall(r"^([a-z][a-z0-9-]*):", text, re.MULTILINE))


def check_python(words: list[str], block: Block) -> None:
    """A module of ours with its own command line, or a script that the page shows."""
    if words[:1] == ["-m"]:
        if words[1] in ("training", "benchmarks", "benchmarks.chaos"):
            check_click(words[1], [EXAMPLE_MODELS.get(word, word) for word in words[2:]])
        else:
            assert importlib.util.find_spec(words[1]), f"{block.place}: {words[1]}"
            assert not words[2:], f"{block.place}: {words}"
        return
    assert f"`{words[0]}`" in block.page.read_text(), f"{block.place}: {words[0]} is not shown"


def check_curl(words: list[str], block: Block) -> None:
    """The URL is a route of ours, and a body that is written out is one that the route takes."""
    urls = [word for word in words if word.startswith(("http", "localhost", "127."))]
    assert len(urls) == 1, block.place
    url = URL.fullmatch(urls[0] if urls[0].startswith("http") else f"http://{urls[0]}")
    assert url, f"{block.place}: {urls[0]}"
    path = url[1] or "/"
    document = json.loads((ROOT / "tests/openapi/churn.json").read_text())
    known = [re.sub(r"\{\w+\}", "[a-z]+", known) for known in document["paths"]]
    assert any(re.fullmatch(pattern, path) for pattern in known), f"{block.place}: {path}"
    for option, body in pairwise(words):
        if option == "-d" and not body.startswith("@") and "SUBSTITUTED" not in body:
            values = json.loads(body)
            if path in PREDICT:
                RowReader(get_spec("churn")).one(json.dumps(values).encode())


def foreign_command(name: str, words: list[str]) -> tuple[str, set[str]]:
    """A command of `FOREIGN_OPTIONS`, and the options that stand before a command of its own.

    `kubectl -n sluice get` is `kubectl get` with `-n`; what follows `--`, or the image of a
    container, is not this program's.
    """
    own = words[: words.index("--")] if "--" in words else words
    if name == "docker" and words[:1] == ["run"]:
        own = own[: _image(own)]
    plain = []
    is_value = False
    for word in own:
        if word.startswith("-") and word != "-":
            # kubectl's own options stand in front of its sub-command, with their values.
            is_value = not plain and "=" not in word
        elif is_value:
            is_value = False
        else:
            plain.append(word)
    longest = [" ".join([name, *plain[:n]]) for n in (4, 3, 2, 1)]
    command = next((each for each in longest if each in FOREIGN_OPTIONS), "")
    assert command, f"{name} {' '.join(words)}: not among FOREIGN_OPTIONS"
    return command, {word.partition("=")[0] for word in own if re.match("-.", word)}


def _image(words: list[str]) -> int:
    """Where `docker run` has the image: behind it stand words for what runs inside."""
    for i, word in enumerate(words):
        if re.fullmatch(r"(?:\S+/)?(?:sluice|shop)(?::\S+)?", word) and words[i - 1] != "--name":
            return i
    return len(words)


def check_foreign(name: str, words: list[str], block: Block) -> None:
    """What another program is asked was looked up, and the block says what it needs."""
    assert block.needs, f"{block.place}: {name} needs a tag of the fence"
    command, options = foreign_command(name, words)
    unknown = options - set(FOREIGN_OPTIONS[command].split())
    assert not unknown, f"{block.place}: {command} has no {unknown}, or it has to be looked up"


def check_files(words: list[str], block: Block) -> None:
    """What looks like a file of the project is one."""
    for word in words:
        is_file = re.fullmatch(
            r"(?:\./)?[\w-]+(?:/[\w.-]+)*\.(?:yaml|txt|csv|json|joblib|py)", word
        )
        is_folder = re.fullmatch(r"(?:k8s|requirements|docs)/[\w/.-]+", word)
        if (is_file or is_folder) and word not in READERS_OWN:
            assert (ROOT / word).exists(), f"{block.place}: {word}"


def check(block: Block) -> None:
    """Parse ours and Ray's as they do; a foreign program must say what it needs."""
    for command in block.commands:
        for name, *words in programs(command):
            check_files(words, block)
            if name in ("sluice", "serve", "ray"):
                check_click(name, words)
            elif name == "python":
                check_python(words, block)
            elif name == "make":
                assert set(words) <= make_targets(), f"{block.place}: {command}"
            elif name == "curl":
                check_curl(words, block)
            elif name in FOREIGN:
                check_foreign(name, words, block)
            else:
                assert name in SHELL, f"{block.place}: {name} is not checked by anything"


@pytest.mark.parametrize("block", CONSOLE)
def test_a_command_exists_with_its_options_and_files(block: Block) -> None:
    """Whatever becomes of it else: run, run elsewhere, or marked as needing something."""
    check(block)


def words_to_run(words: list[str]) -> list[str]:
    """What a test that runs a command has to write: the sub-command, and the options."""
    name, *rest = words
    if name == "python":
        rest = rest[2:] if rest[2:3] == ["bundle"] else rest[3:]
    first = rest[:1] if rest and not rest[0].startswith("-") else []
    return [*first, *(word for word in rest if word.startswith("--"))]


ELSEWHERE = [block for block in CONSOLE if block.values[0].runs_in]  # type: ignore[attr-defined]


@pytest.mark.parametrize("block", ELSEWHERE)
def test_the_test_that_runs_a_block_has_its_commands(block: Block) -> None:
    """A file that only exists would let a page claim anything.

    Its words are looked for. Whether the test does what the page says stays with its reader.
    """
    text = (ROOT / str(block.runs_in)).read_text()
    for command in block.commands:
        for words in programs(command):
            wanted = words_to_run(words)
            assert wanted, f"{block.place}: {command}"
            missing = [
                word for word in wanted if not re.search(rf"(?<![\w-]){word}(?![\w-])", text)
            ]
            assert not missing, f"{block.place}: {block.runs_in} has no {missing}"


WRONG = {
    "an option that is not there": "sluice check serve_config.yaml --sore",
    "a command that is not there": "sluice chek",
    "an argument is missing": "python -m training bundle",
    "a number that is none": "sluice size --rate many --p95-ms 200",
    "a group without its command": "sluice rollout",
    "a file that is not there": "sluice check server_config.yaml",
    "a folder that is not there": "kubectl apply -k k8s/bases",
    "an option of training": "python -m training churn --versoin 1.0.0",
    "a model that is not there": "python -m training chrun --version 1.0.0",
    "a script that is not shown": "python train.py",
    "a module that is not there": "python -m benchmarks.jury",
    "a target that is not there": "make testing",
    "an option of Ray's": "serve deploy serve_config.yaml --adress x",
    "behind a pipe": "serve status | sluice chek",
    "in a substitution": 'eval "$(sluice environment)"',
    "a path that is no route": "curl -s http://127.0.0.1:8000/v1/predicts",
    "another server": "curl -s http://example.com/v1/predict",
    "a row that is refused": """curl http://127.0.0.1:8000/v1/predict -d '{"nps_score": 99}'""",
    "a program that no test knows": "docker run sluice",
    "a program that is asked wrongly": "kubectl -n sluice aply -k k8s/base",
    "an option that kubectl has not": "kubectl apply --kustomise k8s/base",
    "a word that is no program here": "pip install sluice",
}


@pytest.mark.parametrize("command", WRONG.values(), ids=WRONG)
def test_a_wrong_command_is_found(command: str) -> None:
    """Else the checks above would pass for anything."""
    tags = ("needs-kubernetes",) if command.startswith("kubectl") else ()
    block = Block(ROOT / "README.md", "README.md:1", "console", tags, f"$ {command}\n")
    with pytest.raises((AssertionError, pytest.fail.Exception, HttpError)):
        check(block)


KUBECTL = [command for command in FOREIGN_OPTIONS if command.startswith("kubectl ")]


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl here")
@pytest.mark.parametrize("command", KUBECTL)
def test_kubectl_has_the_options_that_pages_show(command: str) -> None:
    """By its own help, and the options that each of its commands takes."""
    helped = subprocess.run(
        [*command.split(), "--help"], capture_output=True, text=True, check=True, timeout=600
    )
    common = {"-n"}
    for option in set(FOREIGN_OPTIONS[command].split()) - common:
        assert re.search(rf"^ +(?:-\w, )?{option}\b", helped.stdout, re.MULTILINE), option


def test_a_command_goes_on_while_a_quote_is_open_or_a_line_ends_with_a_backslash() -> None:
    """The lines that a command prints are not taken for commands."""
    text = "$ echo 'a\n  b' > c\nd\n$ sluice \\\n  check\nfine\n"
    block = Block(ROOT / "README.md", "README.md:1", "console", (), text)
    assert block.commands == ["echo 'a\n  b' > c", "sluice \\\n  check"]
    assert [programs(command) for command in block.commands] == [
        [["echo", "a\n  b"]],
        [["sluice", "check"]],
    ]


SPANS = sorted(
    {
        (str(page.relative_to(ROOT)), span)
        for page in pages()
        for span in inline_code(page)
        if re.match(r"(sluice|make|python -m (training|benchmarks)) ?", span)
        and re.match(r"(sluice|make|python)\b(?!_)", span)
    }
)


@pytest.mark.parametrize(("page", "span"), SPANS)
def test_a_command_in_the_prose_exists_with_its_options(page: str, span: str) -> None:
    """It may be shortened: a group without its sub-command, options without their values."""
    words = [word for word in re.split(r"[ ,]+", span) if "…" not in word]
    if words[0] == "make":
        assert set(words[1:]) <= make_targets(), page
        return
    if words[0] == "python":
        if words[2] == "benchmarks.judge":
            assert importlib.util.find_spec(words[2])
            return
        words = words[2:]
    command, rest = leaf_of(words[0], words[1:])
    options = {option for parameter in command.params for option in parameter.opts}
    options |= {option for parameter in command.params for option in parameter.secondary_opts}
    assert {word for word in rest if word.startswith("--")} <= options | {"--help"}, page
