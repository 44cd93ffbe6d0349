#!/usr/bin/env bash
# Take out of a virtual environment what serving never reads. Nothing of numpy, scipy or *.libs is stripped: they break.
#   slim.sh [--last] VENV
set -euo pipefail
last=0
[ "$1" != --last ] || { last=1; shift; }
site=$(echo "$1"/lib/python3*/site-packages)
cd "$site"

# Parts of Ray that Serve does not import, and what only compilers read. ray/dashboard/client stays: the dashboard
# process, which takes `serve deploy`, looks for it.
rm -rf ray/jars ray/cpp ray/rllib ray/tune ray/train ray/data ray/llm ray/air ray/autoscaler/aws ray/autoscaler/azure \
    ray/autoscaler/gcp ray/autoscaler/vsphere ray/core/generated/ray_cpp ray/include ray/core/src/ray/cpp
find . -type d \( -name tests -o -name test -o -name testing -o -name include \) -not -path './numpy/*' -not -path './scipy/*' \
    -not -path './sklearn/*' -not -path './pandas/*' -prune -exec rm -rf {} +
find ./numpy ./scipy ./sklearn ./pandas -type d -name tests -prune -exec rm -rf {} + 2>/dev/null || true
find . -name '*.pyi' -delete -o -name '*.pxd' -delete -o -name '*.a' -delete -o -name '*.map' -delete

# onnxruntime computes without them; they are for its tools.
rm -rf sympy mpmath isympy.py onnxruntime/transformers onnxruntime/quantization onnxruntime/tools onnxruntime/datasets

# Debug symbols of Ray's programs and of libraries that tolerate it.
if command -v strip >/dev/null; then
    find ray -type f \( -name '*.so' -o -name gcs_server -o -name raylet \) -exec strip --strip-unneeded {} + 2>/dev/null || true
fi

# The same bytes for the same sources, so that layers stay; .pyc files halve the time to start.
if [ "$last" = 1 ]; then
    rm -rf pip pip-*.dist-info ../../../bin/pip*
    "$1"/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash . || true
fi
