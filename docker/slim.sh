#!/usr/bin/env bash
# Take out of a virtual environment what serving never reads. `make image-test` runs what is left.
#   slim.sh VENV            after the packages of a lock file
#   slim.sh --last VENV     when all locked libraries are installed; what a user's own requirements bring stays whole
set -euo pipefail
last=0
[ "$1" != --last ] || { last=1; shift; }
cd "$1"/lib/python3*/site-packages

# .pyc files halve the time to start; by hash, with one order of sets and one date for all, so that equal sources make
# an equal layer. -f: what Python wrote by date when it started, for a .pth file, must not stay.
if [ "$last" = 1 ]; then
    rm -rf pip pip-*.dist-info setuptools/_vendor/*.dist-info ../../../bin/pip*
    PYTHONHASHSEED=0 PYTHONNODEBUGRANGES=1 "$1"/bin/python -m compileall -q -f -j 0 --invalidation-mode unchecked-hash . || true
    find "$1" -exec touch --no-dereference --date "@${SOURCE_DATE_EPOCH:-1767225600}" {} +
    exit
fi

# Parts of Ray that Serve does not import. ray/dashboard/client stays: the process that takes `serve deploy` looks for it.
rm -rf ray/jars ray/cpp ray/rllib ray/tune ray/train ray/data ray/llm ray/air ray/includes ray/autoscaler/{aws,azure,gcp,vsphere}
# A second copy of aiohttp for the agent of runtime environments, which takes the first when this one is not there.
rm -rf ray/_private/runtime_env/agent/thirdparty_files

# onnxruntime: a C library next to the Python module that has all of it inside, and what only its tools read.
rm -rf onnxruntime/capi/libonnxruntime.so* onnxruntime/{transformers,quantization,tools,datasets} sympy mpmath isympy.py
# rapidfuzz: the same once more for newer CPUs, where it was no faster, and distances that nobody asks for.
rm -rf rapidfuzz/fuzz_cpp_avx2*.so rapidfuzz/distance/metrics_cpp*.so
# numpy: tools that build packages.
rm -rf numpy/distutils
# CatBoost's widget for notebooks.
rm -rf ../../../share/jupyter
# CatBoost's code for NVIDIA's cards, 224 of the 277 MB of its library, which has no build without: its place stays, and
# zeros compress to nothing.
for library in catboost/_catboost.so; do
    [ ! -e "$library" ] || readelf --section-headers --wide "$library" \
        | awk '{ sub(/^ *\[ *[0-9]+\] */, "") } $1 == ".nv_fatbin" { print $4, $5 }' \
        | while read -r offset size; do
            dd if=/dev/zero of="$library" bs=64K conv=notrunc oflag=seek_bytes iflag=count_bytes \
                seek=$((16#$offset)) count=$((16#$size)) status=none
        done
done
# pip and setuptools as wheels for new environments, and 500 languages that nobody prints in colour.
rm -rf virtualenv/seed/wheels/embed/*.whl
find pygments/lexers -name '*.py' ! -name '__init__.py' ! -name '_mapping.py' ! -name 'python.py' ! -name 'special.py' \
    ! -name 'text.py' ! -name 'data.py' ! -name 'javascript.py' ! -name 'ruby.py' -delete 2>/dev/null || true

find . -type d \( -name tests -o -name test \) -prune -exec rm -rf {} +
find . \( -name '*.pyi' -o -name '*.pxd' -o -name '*.a' -o -name '*.map' \) -delete

# Debug symbols: not of numpy, scipy and the *.libs, which break.
find . -type f \( -name '*.so' -o -name gcs_server -o -name raylet -o -name haproxy \) -not -path '*.libs/*' -not -path './numpy/*' \
    -not -path './scipy/*' -not -path './sklearn/*' -not -path './pandas/*' -exec strip --strip-unneeded {} +
