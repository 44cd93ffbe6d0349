# Sluice as an image. Four targets:
#   docker build -t sluice .                             serves compiled bundles: Ray, FastAPI, numpy, onnxruntime
#   docker build -t sluice:sklearn --target sklearn .    and bundles that could not be compiled
#   docker build -t sluice:boosters --target boosters .  and those of LightGBM, XGBoost and CatBoost
#   docker build -t sluice:train --target train .        sklearn, and trains (for scheduled retraining)
# No model inside: the store is MODEL_PATH, a folder (mounted at /models) or an s3://, gs://, az:// URI.
# Build arguments, paths inside this folder but the last:
#   REQUIREMENTS=shop/requirements.txt  what your own code imports
#   PACKAGES=shop                       a package of yours: contracts, transformers
#   BAKE=model_store                    a local store, for a demonstration
#   BASE=IMAGE@sha256:DIGEST            what all of it stands on
# Libraries, what your code imports, and code are a layer each: a change of code ships less than 1 MB.
ARG BASE=python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b
ARG REQUIREMENTS=docker/nothing/requirements.txt
ARG PACKAGES=docker/nothing

# hadolint ignore=DL3006  # its default has a digest
FROM ${BASE} AS base
ENV PATH=/opt/code/bin:/opt/sluice/bin:/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONUNBUFFERED=1 \
    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

# The code that every target installs: Sluice's own, and yours.
FROM base AS source
ARG REQUIREMENTS
ARG PACKAGES
WORKDIR /src
COPY ${REQUIREMENTS} yours/requirements.txt
COPY ${PACKAGES} yours/${PACKAGES}
RUN echo "$PACKAGES" > yours/package.txt
COPY pyproject.toml README.md ./
COPY serve_app serve_app

# The locked libraries of each target, in an environment that looks for code in /opt/code too.
FROM base AS tools
ENV PIP_NO_CACHE_DIR=1 PIP_COMPILE=0
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /src
# hadolint ignore=DL3008  # whichever `strip` the base has: nothing of it goes into the image
RUN apt-get update -qq && apt-get install -qq -y --no-install-recommends binutils >/dev/null && rm -rf /var/lib/apt/lists/* \
    && python -m venv /opt/sluice \
    && echo /opt/code > "$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/code.pth"
COPY docker/slim.sh docker/install.sh docker/no_pip.sh ./
COPY requirements/serve.txt requirements/
RUN pip install --require-hashes -r requirements/serve.txt && bash slim.sh /opt/sluice

FROM tools AS tools-sklearn
COPY requirements/sklearn.txt requirements/
RUN pip install --require-hashes -r requirements/sklearn.txt && bash slim.sh /opt/sluice

# CatBoost asks for what draws its plots, and predicts without: a third of what it would add.
FROM tools-sklearn AS tools-boosters
COPY requirements/boosters.txt requirements/
RUN pip install --require-hashes -r requirements/boosters.txt \
    && pip uninstall -q -y plotly graphviz matplotlib contourpy cycler fonttools kiwisolver pillow pyparsing \
    && bash slim.sh /opt/sluice

FROM tools-sklearn AS tools-train
COPY requirements/train.txt requirements/
RUN pip install --require-hashes -r requirements/train.txt && bash slim.sh /opt/sluice

# What of it goes into an image: without pip, with .pyc files, each file with the same date.
FROM tools AS libraries-serve
RUN bash slim.sh --last /opt/sluice
FROM tools-sklearn AS libraries-sklearn
RUN bash slim.sh --last /opt/sluice
FROM tools-boosters AS libraries-boosters
RUN bash slim.sh --last /opt/sluice
FROM tools-train AS libraries-train
RUN bash slim.sh --last /opt/sluice

# What your requirements add to the libraries of a target: /opt/added.
FROM tools AS yours-serve
COPY --from=source /src/yours/requirements.txt yours/
RUN bash install.sh requirements
FROM tools-sklearn AS yours-sklearn
COPY --from=source /src/yours/requirements.txt yours/
RUN bash install.sh requirements
FROM tools-boosters AS yours-boosters
COPY --from=source /src/yours/requirements.txt yours/
RUN bash install.sh requirements
FROM tools-train AS yours-train
COPY --from=source /src/yours/requirements.txt yours/
RUN bash install.sh requirements

# The code: /opt/code. It is the same in three targets.
FROM tools AS code
COPY --from=source /src ./
RUN bash install.sh code
FROM tools AS code-train
COPY --from=source /src ./
COPY training training
RUN bash install.sh code

# hadolint ignore=DL3006
FROM base AS runtime
ARG BAKE=docker/no-models
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="sluice" \
      org.opencontainers.image.description="Serves tabular scikit-learn models on Ray Serve" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# KubeRay starts Ray with `bash -l`, which sets PATH again from /etc/profile.d. HOME is written to (Ray's token), so
# it lies where any user may write. Python finds its .pyc files ready-made and writes none: those of its own library
# too, which the base leaves out, so that each HEALTHCHECK would compile what it imports; but not of what nobody imports.
# LightGBM asks the system for libgomp, which no slim image has.
# hadolint ignore=DL3008  # whichever the base has
RUN apt-get update -qq && apt-get install -qq -y --no-install-recommends libgomp1 >/dev/null \
    && rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log /var/cache/ldconfig/aux-cache \
    && PYTHONHASHSEED=0 PYTHONNODEBUGRANGES=1 python -m compileall -q -j 0 --invalidation-mode unchecked-hash \
        -x '/(site-packages|dist-packages|idlelib|lib2to3|tkinter|turtledemo|distutils|ensurepip|pydoc_data|test)/' \
        "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
    && useradd --uid 10001 --gid 0 --no-create-home --home-dir /tmp sluice \
    && mkdir -p /opt/sluice /opt/code \
    && echo "export PATH=/opt/code/bin:/opt/sluice/bin:\$PATH" > /etc/profile.d/sluice.sh
ENV HOME=/tmp USER=sluice PYTHONDONTWRITEBYTECODE=1 \
    RAY_USAGE_STATS_ENABLED=0 RAY_DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES=80000000
# Ray's own logs stay small (serve_app/commands/fast_mode.py), and ours go to the standard output of the first process.
ENV RAY_event_stats_print_interval_ms=86400000 RAY_ROTATION_MAX_BYTES=1000000 RAY_ROTATION_BACKUP_COUNT=1 \
    SLUICE_LOG_TO=/proc/1/fd/1
# It listens on every address, so it wants keys: a folder with keys.yaml at /keys, or KEYS_PATH=disabled written out.
ENV MODEL_PATH=/models STATE_PATH=/state KEYS_PATH=/keys/keys.yaml SLUICE_HOST=0.0.0.0 SLUICE_PORT=8000 SLUICE_DRAIN_S=5
WORKDIR /app
COPY serve_config.yaml .
COPY ${BAKE} /models
EXPOSE 8000
USER 10001:0
# Ready, not only alive: an orchestrator that looks at this sends traffic to what can answer. It asks what `sluice ready`
# asks, without the half second that the command line takes to load.
HEALTHCHECK --interval=5s --timeout=4s --start-period=60s --retries=3 \
    CMD ["python", "-m", "serve_app.commands.healthy"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["sluice", "up"]
CMD ["serve_config.yaml"]

FROM runtime AS train
COPY --from=libraries-train /opt/sluice /opt/sluice
COPY --from=yours-train /opt/added /opt/sluice
COPY --from=code-train /opt/code /opt/code
HEALTHCHECK NONE
ENTRYPOINT ["python", "-m", "training"]
CMD ["--help"]

FROM runtime AS boosters
COPY --from=libraries-boosters /opt/sluice /opt/sluice
COPY --from=yours-boosters /opt/added /opt/sluice
COPY --from=code /opt/code /opt/code

FROM runtime AS sklearn
COPY --from=libraries-sklearn /opt/sluice /opt/sluice
COPY --from=yours-sklearn /opt/added /opt/sluice
COPY --from=code /opt/code /opt/code

FROM runtime AS serve
COPY --from=libraries-serve /opt/sluice /opt/sluice
COPY --from=yours-serve /opt/added /opt/sluice
COPY --from=code /opt/code /opt/code
