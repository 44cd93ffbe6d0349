"""What equal sources must not differ by: .pyc files by date, and what pip leaves of itself."""

import marshal
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# The second word of a .pyc file: by hash, and never compared with its source.
UNCHECKED_HASH = 1
# A quarter of a .pyc file says in which column of its line each step stands.
WANTED = (UNCHECKED_HASH, {None})


def compiled(folder: Path) -> dict[str, tuple[int, set[int | None]]]:
    """The flags of every .pyc file below a folder, and the columns in it, by its name."""
    found = {}
    for path in folder.rglob("*.pyc"):
        data = path.read_bytes()
        code = marshal.loads(data[16:])
        columns = {begin for _, _, begin, _ in code.co_positions()}
        found[path.name.split(".")[0]] = (int.from_bytes(data[4:8], "little"), columns)
    return found


def run_script(name: str, *words: object, cwd: Path, **environment: str) -> None:
    """Run a script of docker/ with these variables alone."""
    command = ["bash", ROOT / "docker" / name, *map(str, words)]
    env = {"PATH": os.environ["PATH"]} | environment
    done = subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr


def test_a_library_that_python_loads_when_it_starts_is_compiled_by_hash_too(
    tmp_path: Path,
) -> None:
    """The environment's own Python compiles the others, and first writes that one by date."""
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True, timeout=600)
    [site] = venv.glob("lib/python3*/site-packages")
    (site / "plain.py").write_text("x = 1\n")
    (site / "early.py").write_text("x = 1\n")
    # As setuptools has one for _distutils_hack.
    (site / "early.pth").write_text("import early\n")
    run_script("slim.sh", "--last", venv, cwd=tmp_path)
    assert compiled(site) == {"plain": WANTED, "early": WANTED}


def test_what_pip_compiles_of_itself_is_no_requirement_of_the_users(tmp_path: Path) -> None:
    """And what their package is compiled to, by date, is made again by hash."""
    libraries = tmp_path / "venv" / "lib"
    (libraries / "pip").mkdir(parents=True)
    (libraries / "pip" / "used.py").touch()
    program = tmp_path / "bin" / "pip"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\n[ $1 = install ] || exit 0\n"
        f"mkdir {libraries}/theirs && echo x = 1 > {libraries}/theirs/new.py\n"
        f"python -m compileall -q {libraries}\n"
    )
    program.chmod(0o755)
    added = tmp_path / "added"
    path = f"{program.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    places = {"VENV": str(tmp_path / "venv"), "ADDED": str(added), "PATH": path}
    run_script("install.sh", "requirements", cwd=tmp_path, **places)
    assert compiled(added) == {"new": WANTED}


def test_pythons_own_library_is_compiled_where_the_base_leaves_that_out(tmp_path: Path) -> None:
    """Each HEALTHCHECK would compile it anew, every five seconds; and not what nobody imports."""
    library = tmp_path / "lib" / "python3.11"
    for name in ("asyncio/tasks", "idlelib/window", "lib2to3/fix", "tkinter/button",
                 "site-packages/pip/used", "plain"):  # fmt: skip
        path = library / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x = 1\n")
    recipe = (ROOT / "Dockerfile").read_text()
    runtime = recipe[recipe.index("AS runtime") : recipe.index("AS train")]
    commands = re.split(r"&&|^RUN", runtime.replace("\\\n", " "), flags=re.MULTILINE)
    [command] = [command for command in commands if "compileall" in command]
    program = tmp_path / "bin" / "python"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\n[ "$1" = -c ] && echo {library} || exec {sys.executable} "$@"\n'
    )
    program.chmod(0o755)
    env = {"PATH": f"{program.parent}:{os.environ['PATH']}", "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(["bash", "-c", command], env=env, check=True, timeout=600)
    assert compiled(library) == {"tasks": WANTED, "plain": WANTED}
