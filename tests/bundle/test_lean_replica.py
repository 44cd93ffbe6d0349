"""What a replica of compiled versions imports."""

import subprocess
import sys
from pathlib import Path

from serve_app.bundle.store import FolderStore

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"sklearn", "pandas", "scipy", "joblib"}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Refuse())
from pathlib import Path
from serve_app.contract.block import Layout
from serve_app.bundle.loading import load
from serve_app.bundle.store import FolderStore
from serve_app.models import get_spec
import serve_app.serving.router, serve_app.http.application, serve_app.serving.versions

spec = get_spec("churn")
predictor = load(FolderStore(Path(sys.argv[1])), spec, "1.0.0")
block = Layout(spec.contract).block([example.row.__dict__ for example in spec.examples])
high, low = predictor.score(block)
print("ok" if high > 0.6 > 0.3 > low else (high, low))
"""


def test_our_code_serves_a_compiled_version_where_scikit_learn_and_pandas_are_not_installed(
    trained_store: FolderStore,
) -> None:
    """The default image holds neither; an import of them anywhere on the way would fail here."""
    command = [sys.executable, "-c", SCRIPT, str(trained_store.root)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "ok", done.stderr
