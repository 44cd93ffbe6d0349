#!/usr/bin/env bash
# What is yours goes into the image's environment.
#   yours.sh requirements FILE     a requirements file, with hashes or without
#   yours.sh package FOLDER        a package: installed when it has a pyproject.toml, else copied as it is
set -euo pipefail
install=(pip install --no-cache-dir --no-compile)

case "$1" in
requirements)
    # What Sluice is locked to stays: a file that wants another version of it ends the build.
    pip freeze --all > /tmp/locked.txt
    "${install[@]}" -c /tmp/locked.txt -r "$2"
    ;;
package)
    if [ "$2" = docker/nothing ]; then
        exit 0
    elif [ -e "yours/$2/pyproject.toml" ]; then
        "${install[@]}" --no-deps "./yours/$2"
    else
        name=$(basename "$2")
        folder=$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
        [[ $name =~ ^[A-Za-z_][A-Za-z0-9_]*$ ]] || { echo "PACKAGES: found $2, expected a folder whose name Python can import"; exit 1; }
        [ ! -e "$folder/$name" ] || { echo "PACKAGES: found $2: there is a package $name already"; exit 1; }
        cp -r "yours/$2" "$folder/$name"
        chmod -R a+rX "$folder/$name"
    fi
    ;;
esac
