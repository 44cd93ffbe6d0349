"""Which model and which server a command means."""

from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from serve_app.commands import main
from serve_app.commands.target import (
    alone,
    choose,
    find_target,
    named_versions,
    places_left_out,
    read_config,
    servers_of,
    take_model,
)
from serve_app.errors import SettingsError


def app(name: str, prefix: str | None, role: str = "server", **args: str) -> dict[str, Any]:
    """An application as it stands in a file."""
    return {
        "name": name,
        "route_prefix": prefix,
        "import_path": f"serve_app.app:{role}",
        "args": args,
    }


def with_table(application: dict[str, Any], **table: Any) -> dict[str, Any]:
    """An application with a table."""
    return application | {"deployments": [{"name": "Server", "user_config": table}]}


CHURN = with_table(
    app("churn", "/", model="churn", store="s3://models"),
    stable="1.0.0",
    versions={"1.0.0": {"manifest_sha256": "ab"}, "1.1.0": {"weight_percent": 10}},
)
LOAN = with_table(
    app("loan", "/loan", model="shop.models.loan"),
    rollout={"stable": "2.0.0", "candidate": "2.1.0"},
)
ISOLATED = app("churn-1.2.0", None, "version", model="churn", version="1.2.0")
CONFIG: dict[str, Any] = {
    "http_options": {"host": "0.0.0.0", "port": 9000},
    "applications": [CHURN, LOAN, ISOLATED],
}
PATH = Path("serve_config.yaml")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The configuration as a file."""
    found = tmp_path / "serve.yaml"
    found.write_text(yaml.safe_dump(CONFIG))
    return found


def test_the_servers_of_a_file_with_where_they_answer_and_what_is_stable() -> None:
    """The stable version may stand in the table or in its rollout."""
    churn, loan = servers_of(CONFIG)
    assert (churn.url, churn.store, churn.stable, churn.pin) == (
        "http://127.0.0.1:9000",
        "s3://models",
        "1.0.0",
        "ab",
    )
    assert (loan.url, loan.stable, loan.pin) == ("http://127.0.0.1:9000/loan", "2.0.0", None)


def test_the_only_server_is_meant_and_of_several_the_one_at_the_root() -> None:
    """So it was before there was a choice."""
    assert choose(servers_of(CONFIG), None, PATH).model == "churn"
    only = {"applications": [LOAN]}
    assert choose(servers_of(only), None, PATH).model == "shop.models.loan"


@pytest.mark.parametrize("name", ["loan", "shop.models.loan"])
def test_a_module_is_found_by_its_whole_name_and_by_its_last_word(name: str) -> None:
    """Nobody types more than is needed."""
    assert choose(servers_of(CONFIG), name, PATH).model == "shop.models.loan"


@pytest.mark.parametrize(
    ("config", "model", "said"),
    [
        (
            CONFIG,
            "chrun",
            "--model: found chrun, expected one that serve_config.yaml serves: churn",
        ),
        ({"applications": [ISOLATED]}, None, "found no serve_app.app:server"),
        (
            {"applications": [LOAN, app("b", "/b", model="b")]},
            None,
            "serves shop.models.loan, b; say which one with --model",
        ),
    ],
)
def test_what_cannot_be_chosen_is_a_sentence(config: Any, model: str | None, said: str) -> None:
    """The sentence lists what there is, so that one can choose."""
    with pytest.raises(SettingsError, match=said):
        choose(servers_of(config), model, PATH)


def test_a_target_says_what_was_used(path: Path) -> None:
    """A URL that is given wins over the file."""
    assert find_target("http://h:1/x", "churn", path).said == "http://h:1/x (--url)"
    found = find_target(None, "loan", path)
    assert found.url == "http://127.0.0.1:9000/loan"
    assert found.said == f"shop.models.loan at http://127.0.0.1:9000/loan ({path})"


def test_without_a_file_it_is_the_port_of_always(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is not in the folder of the file, and asks for no model of it, is not stopped."""
    monkeypatch.chdir(tmp_path)
    assert find_target(None, None, PATH).url == "http://127.0.0.1:8000"
    with pytest.raises(SettingsError, match="cannot be read"):
        find_target(None, "churn", PATH)


TWICE = "applications: []\napplications: []\n"


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "applications: 3",
        "- a",
        "\x00",
        TWICE,
        "applications: [{name: a, name: b}]",
        f"kind: RayService\nspec: {{serveConfigV2: {TWICE!a}}}".replace("'", '"'),
    ],
)
def test_a_file_that_is_none_is_a_sentence(tmp_path: Path, text: str) -> None:
    """It names the command that finds the line."""
    path = tmp_path / "serve.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match="sluice check"):
        read_config(path)


@pytest.mark.parametrize(
    ("words", "model", "found"),
    [
        (["churn", "1.0.0"], None, ("churn", ["1.0.0"])),
        (["1.0.0"], "loan", ("loan", ["1.0.0"])),
        (["churn", "1.0.0"], "churn", ("churn", ["1.0.0"])),
        (["1.0.0"], None, ("churn", ["1.0.0"])),
    ],
)
def test_a_model_is_the_first_word_or_the_option_or_the_one_of_the_file(
    path: Path, words: list[str], model: str | None, found: tuple[str, list[str]]
) -> None:
    """Words that scripts have written before the option came mean what they meant."""
    assert take_model(words, 1, model, path) == found


def test_two_models_or_another_number_of_words_are_refused(path: Path) -> None:
    """Of two models that are named differently none is guessed."""
    with pytest.raises(SettingsError, match="found loan and churn; keep one"):
        take_model(["churn", "1.0.0"], 1, "loan", path)
    for words in ([], ["a", "b", "c"]):
        with pytest.raises(typer.BadParameter, match="expected 1 after the model"):
            take_model(words, 1, None, path)


def test_a_model_alone_keeps_its_isolated_versions() -> None:
    """All others are left out, and what stands next to the applications stays."""
    found = alone(CONFIG, "churn", PATH)
    assert found["applications"] == [CHURN, ISOLATED]
    assert found["http_options"] == CONFIG["http_options"]
    assert places_left_out(CONFIG, "loan", PATH) == {0, 2}


def test_versions_that_a_file_names_with_where_it_does() -> None:
    """In the table, in the rollout and as an application of its own."""
    assert named_versions(CONFIG, "churn") == {
        "1.0.0": "application churn: stable",
        "1.1.0": "application churn: versions.1.1.0",
        "1.2.0": "application churn-1.2.0: args.version",
    }
    # The module cannot be imported here: its last word has to do.
    assert set(named_versions(CONFIG, "loan")) == {"2.0.0", "2.1.0"}
    assert named_versions(CONFIG, "delivery_time") == {}


# What is about no model: a whole file, a node, a key, and a model that is not there yet.
ABOUT_NO_MODEL = {"check", "manifests", "env", "keygen", "keys", "new"}


def test_every_command_about_a_model_takes_it_as_an_option() -> None:
    """Whoever knows it of one command need not read the help of another."""
    group = typer.main.get_command(main.app)
    commands = dict(group.commands)  # type: ignore[attr-defined]
    for group_name in ("rollout", "log"):
        group = commands.pop(group_name)
        commands |= {f"{group_name} {name}": command for name, command in group.commands.items()}
    without = {
        name
        for name, command in commands.items()
        if not any("--model" in option.opts for option in command.params)
    }
    assert without == ABOUT_NO_MODEL
