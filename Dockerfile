# Sluice as an image. Four targets:
#   docker build -t sluice .                             serves compiled bundles: Ray, FastAPI, numpy, onnxruntime
#   docker build -t sluice:sklearn --target sklearn .    and bundles that could not be compiled
#   docker build -t sluice:boosters --target boosters .  and those of LightGBM, XGBoost and CatBoost
#   docker build -t sluice:train --target train .        sklearn, and trains (for scheduled retraining)
# No model inside: the store is MODEL_PATH, a folder (mounted at /models) or an s3://, gs://, az:// URI.
# Build arguments, each a path inside this folder:
#   REQUIREMENTS=shop/requirements.txt  what your own code imports
#   PACKAGES=shop                       a package of yours: contracts, transformers
#   BAKE=model_store                    a local store, for a demonstration
ARG REQUIREMENTS=docker/nothing/requirements.txt
ARG PACKAGES=docker/nothing

FROM python:3.11-slim AS base
ENV PATH=/opt/sluice/bin:/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONUNBUFFERED=1 \
    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

# The code that every target installs: Sluice's own, and yours.
FROM base AS code
ARG REQUIREMENTS
ARG PACKAGES
WORKDIR /src
COPY ${REQUIREMENTS} yours/requirements.txt
COPY ${PACKAGES} yours/${PACKAGES}
RUN echo "$PACKAGES" > yours/package.txt
COPY pyproject.toml README.md ./
COPY serve_app serve_app

# The locked libraries of each target. Only the last step compiles .pyc files, when nothing more is taken out.
FROM base AS tools
ENV PIP_NO_CACHE_DIR=1 PIP_COMPILE=0
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /src
# hadolint ignore=DL3008  # whichever `strip` the base has: nothing of it goes into the image
RUN apt-get update -qq && apt-get install -qq -y --no-install-recommends binutils >/dev/null && rm -rf /var/lib/apt/lists/* \
    && python -m venv /opt/sluice
COPY docker/slim.sh docker/install.sh ./
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

# Libraries and code. Your requirements come first: a change of code does not download them again.
FROM tools AS built-serve
COPY --from=code /src/yours/requirements.txt yours/
RUN bash install.sh requirements
COPY --from=code /src ./
RUN bash install.sh code

FROM tools-sklearn AS built-sklearn
COPY --from=code /src/yours/requirements.txt yours/
RUN bash install.sh requirements
COPY --from=code /src ./
RUN bash install.sh code

FROM tools-boosters AS built-boosters
COPY --from=code /src/yours/requirements.txt yours/
RUN bash install.sh requirements
COPY --from=code /src ./
RUN bash install.sh code

FROM tools-train AS built-train
COPY --from=code /src/yours/requirements.txt yours/
RUN bash install.sh requirements
COPY --from=code /src ./
COPY training training
RUN bash install.sh code

FROM base AS runtime
ARG BAKE=docker/no-models
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="sluice" \
      org.opencontainers.image.description="Serves tabular scikit-learn models on Ray Serve" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# It listens on every address, so it wants keys: a folder with keys.yaml at /keys, or KEYS_PATH=disabled written out.
# KubeRay starts Ray with `bash -l`, which sets PATH again from /etc/profile.d. HOME is written to (Ray's token), so
# it lies where any user may write. Python finds its .pyc files ready-made and writes none.
# LightGBM asks the system for libgomp, which no slim image has.
# hadolint ignore=DL3008  # whichever the base has
RUN apt-get update -qq && apt-get install -qq -y --no-install-recommends libgomp1 >/dev/null && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --gid 0 --no-create-home --home-dir /tmp sluice \
    && echo "export PATH=/opt/sluice/bin:\$PATH" > /etc/profile.d/sluice.sh
ENV HOME=/tmp USER=sluice PYTHONDONTWRITEBYTECODE=1 \
    RAY_USAGE_STATS_ENABLED=0 RAY_DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES=80000000 \
    MODEL_PATH=/models STATE_PATH=/state KEYS_PATH=/keys/keys.yaml SLUICE_HOST=0.0.0.0 SLUICE_PORT=8000 SLUICE_DRAIN_S=5
WORKDIR /app
COPY serve_config.yaml .
COPY ${BAKE} /models
EXPOSE 8000
USER 10001:0
# Ready, not only alive: an orchestrator that looks at this sends traffic to what can answer.
HEALTHCHECK --interval=5s --timeout=4s --start-period=60s --retries=3 \
    CMD ["python", "-m", "serve_app.commands.healthy"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["sluice", "up"]
CMD ["serve_config.yaml"]

FROM runtime AS train
COPY --from=built-train /opt/sluice /opt/sluice
HEALTHCHECK NONE
ENTRYPOINT ["python", "-m", "training"]
CMD ["--help"]

FROM runtime AS boosters
COPY --from=built-boosters /opt/sluice /opt/sluice

FROM runtime AS sklearn
COPY --from=built-sklearn /opt/sluice /opt/sluice

FROM runtime AS serve
COPY --from=built-serve /opt/sluice /opt/sluice
