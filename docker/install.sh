#!/usr/bin/env bash
# Install code into the image's environment, from the folder that the Dockerfile's stage `code` has filled.
#   install.sh requirements     yours/requirements.txt, with hashes or without
#   install.sh code             Sluice, then the package of yours whose folder yours/package.txt names
set -euo pipefail

case "$1" in
requirements)
    # What Sluice is locked to stays: a file that wants another version of it ends the build.
    pip freeze --all > /tmp/locked.txt
    pip install -c /tmp/locked.txt -r yours/requirements.txt
    ;;
code)
    pip install --no-deps --no-build-isolation .
    package=$(cat yours/package.txt)
    if [ -e "yours/$package/pyproject.toml" ]; then
        pip install --no-deps "./yours/$package"
    elif [ "$package" != docker/nothing ]; then
        name=$(basename "$package")
        folder=$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
        [[ $name =~ ^[A-Za-z_][A-Za-z0-9_]*$ ]] || { echo "PACKAGES: found $package, expected a folder whose name Python can import"; exit 1; }
        [ ! -e "$folder/$name" ] || { echo "PACKAGES: found $package: there is a package $name already"; exit 1; }
        cp -r "yours/$package" "$folder/$name"
        chmod -R a+rX "$folder/$name"
    fi
    bash slim.sh --last /opt/sluice
    ;;
esac
