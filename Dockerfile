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

FROM base AS tools
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /src
# hadolint ignore=DL3008  # whichever `strip` the base has: nothing of it goes into the image
RUN apt-get update -qq && apt-get install -qq -y --no-install-recommends binutils >/dev/null && rm -rf /var/lib/apt/lists/* \
    && python -m venv /opt/sluice
COPY requirements/serve.txt requirements/
COPY docker/slim.sh docker/yours.sh docker/
RUN pip install --no-cache-dir --no-compile --require-hashes -r requirements/serve.txt && bash docker/slim.sh /opt/sluice

FROM tools AS tools-sklearn
COPY requirements/sklearn.txt requirements/
RUN pip install --no-cache-dir --no-compile --require-hashes -r requirements/sklearn.txt && bash docker/slim.sh /opt/sluice

# CatBoost asks for what draws its plots, and predicts without: a third of what it would add.
FROM tools-sklearn AS tools-boosters
COPY requirements/boosters.txt requirements/
RUN pip install --no-cache-dir --no-compile --require-hashes -r requirements/boosters.txt \
    && pip uninstall -q -y plotly graphviz matplotlib contourpy cycler fonttools kiwisolver pillow pyparsing \
    && bash docker/slim.sh /opt/sluice

# Training keeps its libraries whole.
FROM tools-sklearn AS tools-train
COPY requirements/train.txt requirements/
RUN pip install --no-cache-dir --no-compile --require-hashes -r requirements/train.txt && bash docker/slim.sh /opt/sluice

FROM tools AS built
ARG REQUIREMENTS
ARG PACKAGES
COPY ${REQUIREMENTS} yours/requirements.txt
RUN bash docker/yours.sh requirements yours/requirements.txt
COPY pyproject.toml README.md ./
COPY serve_app serve_app
COPY ${PACKAGES} yours/${PACKAGES}
RUN pip install --no-cache-dir --no-deps --no-build-isolation . && bash docker/yours.sh package "$PACKAGES" && bash docker/slim.sh --last /opt/sluice

FROM tools-sklearn AS built-sklearn
ARG REQUIREMENTS
ARG PACKAGES
COPY ${REQUIREMENTS} yours/requirements.txt
RUN bash docker/yours.sh requirements yours/requirements.txt
COPY pyproject.toml README.md ./
COPY serve_app serve_app
COPY ${PACKAGES} yours/${PACKAGES}
RUN pip install --no-cache-dir --no-deps --no-build-isolation . && bash docker/yours.sh package "$PACKAGES" && bash docker/slim.sh --last /opt/sluice

FROM tools-boosters AS built-boosters
ARG REQUIREMENTS
ARG PACKAGES
COPY ${REQUIREMENTS} yours/requirements.txt
RUN bash docker/yours.sh requirements yours/requirements.txt
COPY pyproject.toml README.md ./
COPY serve_app serve_app
COPY ${PACKAGES} yours/${PACKAGES}
RUN pip install --no-cache-dir --no-deps --no-build-isolation . && bash docker/yours.sh package "$PACKAGES" && bash docker/slim.sh --last /opt/sluice

FROM tools-train AS built-train
ARG REQUIREMENTS
ARG PACKAGES
COPY ${REQUIREMENTS} yours/requirements.txt
RUN bash docker/yours.sh requirements yours/requirements.txt
COPY pyproject.toml README.md ./
COPY serve_app serve_app
COPY training training
COPY ${PACKAGES} yours/${PACKAGES}
RUN pip install --no-cache-dir --no-deps --no-build-isolation . && bash docker/yours.sh package "$PACKAGES" && bash docker/slim.sh --last /opt/sluice

FROM base AS runtime
ARG BAKE=docker/no-models
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="sluice" \
      org.opencontainers.image.description="Serves tabular scikit-learn models on Ray Serve" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# KubeRay starts Ray with `bash -l`, which sets PATH again from /etc/profile.d. HOME is written to (Ray's token), so
# it lies where any user may write. Python finds its .pyc files ready-made and writes none.
# LightGBM asks the system for libgomp, which no slim image has.
# hadolint ignore=DL3008  # whichever the base has
RUN apt-get update -qq && apt-get install -qq -y --no-install-recommends libgomp1 >/dev/null && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --gid 0 --no-create-home --home-dir /tmp sluice \
    && echo "export PATH=/opt/sluice/bin:\$PATH" > /etc/profile.d/sluice.sh
ENV HOME=/tmp USER=sluice PYTHONDONTWRITEBYTECODE=1 \
    RAY_USAGE_STATS_ENABLED=0 RAY_DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES=80000000 \
    MODEL_PATH=/models STATE_PATH=/state SLUICE_HOST=0.0.0.0 SLUICE_PORT=8000 SLUICE_DRAIN_S=5
WORKDIR /app
COPY serve_config.yaml .
COPY ${BAKE} /models
EXPOSE 8000
USER 10001:0
# Ready, not only alive: an orchestrator that looks at this sends traffic to what can answer.
HEALTHCHECK --interval=5s --timeout=4s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['SLUICE_PORT'] + '/ready', timeout=3)"]
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
COPY --from=built /opt/sluice /opt/sluice
