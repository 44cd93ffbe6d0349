"""A contract outside of the package: a dotted module with SPEC, or one sentence why it is none."""

import subprocess
import sys
from pathlib import Path

import pytest
from own_package import CONTRACT, importable

from serve_app.errors import SettingsError
from serve_app.models import MODELS, get_spec, name_of

FOLDER = Path(__file__).parents[3] / "serve_app" / "models"


def sentence_of(folder: Path, files: dict[str, str], model: str = "shop.models.loan") -> str:
    """Why a model of these files is refused."""
    with importable(folder, files), pytest.raises(SettingsError) as refusal:
        get_spec(model)
    return str(refusal.value)


def test_a_module_with_a_spec_is_a_model_under_the_name_of_its_spec(tmp_path: Path) -> None:
    """Nobody edits a file of the package to serve a model of their own."""
    with importable(tmp_path):
        spec = get_spec("shop.models.loan")
        assert [feature.name for feature in spec.contract] == ["income_usd", "n_children"]
        assert name_of("shop.models.loan") == spec.name == "loan"
    assert name_of("churn") == "churn"


def test_every_file_of_the_folder_is_a_model_without_a_line_elsewhere() -> None:
    """Whoever puts a contract there is done."""
    files = {path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_")}
    assert set(MODELS) == files
    assert "churn" in files


def test_a_package_that_is_not_here_is_named_with_what_to_do(tmp_path: Path) -> None:
    """The first part that is missing, and the two ways to get it."""
    nowhere = sentence_of(tmp_path / "one", {}, "nowhere.models.loan")
    assert "there is no module nowhere here; install the package" in nowhere
    assert "put the folder that holds nowhere/ on PYTHONPATH" in nowhere
    mistyped = sentence_of(tmp_path / "two", {"shop/models/loan.py": CONTRACT}, "shop.models.lone")
    assert "there is no module shop.models.lone here" in mistyped


FAULTY = {
    "no spec": ("X = 1", "shop.models.loan has no SPEC; expected SPEC = ModelSpec"),
    "a dictionary": ("SPEC = {}", "has a SPEC of type dict"),
    "a syntax error": ("def f(:\n", "cannot be imported: SyntaxError"),
    "a library that is missing": (
        "import sys\nimport no_such_library",
        "shop.models.loan imports no_such_library, which is not installed here (line 2)",
    ),
    "an error of its own": (
        "\nraise RuntimeError('the first line\\nthe second')",
        "cannot be imported: RuntimeError: the first line (line 1)",
    ),
    "a wrong example": (
        CONTRACT.replace("n_children=1", "n_children=-1"),
        "LoanFeatures.n_children: Input should be greater than or equal to 0 (line 9)",
    ),
    "a kind that is not known": (
        CONTRACT.replace('kind="binary_classifier"', 'kind="multiclass"'),
        "found kind 'multiclass', expected one of binary_classifier, classifier, regressor",
    ),
    "a field without bounds": (
        CONTRACT.replace("Annotated[int, Field(ge=0, le=20)]", "int"),
        "loan.n_children: found {'title': 'N Children', 'type': 'integer'}; expected",
    ),
    "a name that is a path": (
        CONTRACT.replace('name="loan"', 'name="../loan"'),
        "has the SPEC.name '../loan', expected letters, digits and _",
    ),
}


@pytest.mark.parametrize("fault", FAULTY)
def test_a_module_that_is_no_contract_is_refused_in_one_sentence(
    fault: str, tmp_path: Path
) -> None:
    """What is wrong with it, where, and what was expected; never a traceback."""
    text, words = FAULTY[fault]
    found = sentence_of(tmp_path, {"shop/models/loan.py": text})
    assert words in found
    assert "the second" not in found
    assert "Traceback" not in found


@pytest.mark.parametrize("name", ["os", "shop", "shop.", ".shop", "shop..models", "../shop.models"])
def test_what_is_no_dotted_module_is_never_imported(name: str) -> None:
    """A name without a dot is one of the registry, or a mistake."""
    with pytest.raises(SettingsError, match=r"expected one of churn, .* or a module with SPEC"):
        get_spec(name)


def test_serving_a_contract_imports_no_scikit_learn(tmp_path: Path) -> None:
    """A contract and its training are two modules, and a server imports the first one only."""
    with importable(tmp_path):
        script = (
            "import sys; from serve_app.models import get_spec; get_spec('shop.models.loan'); "
            "print(sorted({'sklearn', 'pandas', 'training'} & set(sys.modules)))"
        )
        command = [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}; {script}"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
