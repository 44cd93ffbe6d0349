#!/bin/sh
# Stands in the place of pip in the image. The base has one, which installs where nothing here looks.
echo "pip: this image has none, and its libraries are locked. Found $(basename "$0") $*; expected a build with" \
    "--build-arg REQUIREMENTS=FILE for what your code imports, and --build-arg PACKAGES=FOLDER for the code" \
    "(docs/deploy.md)" >&2
exit 1
