#!/usr/bin/env bash
# Install what is no locked library, from the folder that the Dockerfile's stage `source` has filled.
#   install.sh requirements     yours/requirements.txt, with hashes or without: what that adds goes to ADDED
#   install.sh code             Sluice, and the package of yours whose folder yours/package.txt names: to CODE
set -euo pipefail
VENV=${VENV:-/opt/sluice} ADDED=${ADDED:-/opt/added} CODE=${CODE:-/opt/code}
# Commands, and what they alone import, are compiled when they are called, in some 0.1 s: so the layer stays under 1 MB.
COMMANDS='/commands/|/bundle/push\.|/log/reading\.|/statistics/quality\.'
here=$(pwd)

# As slim.sh: by hash, with one order of sets and one date for all, so that equal sources make an equal layer.
# FOLDER, where it lies in the image, and what is left out.
compiled() {
    PYTHONHASHSEED=0 PYTHONNODEBUGRANGES=1 python -m compileall -q -f -j 0 --invalidation-mode unchecked-hash -s "$1" -p "$2" -x "$3" "$1" || true
    find "$1" -exec touch --no-dereference --date "@${SOURCE_DATE_EPOCH:-1767225600}" {} +
}

case "$1" in
requirements)
    # What Sluice is locked to stays: a file that wants another version of it ends the build.
    pip freeze --all > /tmp/locked.txt
    (cd "$VENV" && find . ! -type d | sort > /tmp/before.txt)
    pip install -c /tmp/locked.txt -r yours/requirements.txt
    mkdir -p "$ADDED"
    # Without what pip compiled of itself meanwhile, by date; theirs is compiled below.
    (cd "$VENV" && find . ! -type d ! -path '*/__pycache__/*' | sort | comm -13 /tmp/before.txt - | tar --create --files-from - | tar --extract --directory "$ADDED")
    compiled "$ADDED" "$VENV" '^$'
    ;;
code)
    pip install --no-deps --no-build-isolation --target "$CODE" .
    package=$(cat yours/package.txt)
    if [ -e "yours/$package/pyproject.toml" ]; then
        # Next to it first: a second installation into one folder would leave the programs of the first.
        pip install --no-deps --target "$here/installed" "./yours/$package"
        cp -rn "$here/installed/." "$CODE"
    elif [ "$package" != docker/nothing ]; then
        name=$(basename "$package")
        libraries=$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
        [[ $name =~ ^[A-Za-z_][A-Za-z0-9_]*$ ]] || { echo "PACKAGES: found $package, expected a folder whose name Python can import"; exit 1; }
        for folder in "$CODE" "$libraries"; do
            [ ! -e "$folder/$name" ] || { echo "PACKAGES: found $package: there is a package $name already"; exit 1; }
        done
        cp -r "yours/$package" "$CODE/$name"
        chmod -R a+rX "$CODE/$name"
    fi
    # All names that the base has it by.
    for name in pip pip3 pip3.11; do install -D -m 755 no_pip.sh "$CODE/bin/$name"; done
    compiled "$CODE" "$CODE" "$COMMANDS"
    ;;
esac
