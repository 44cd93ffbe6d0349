# make serve | test | test-busy | test-long | bench | agree | simulate | chaos | image-test | manifests \
#   | promtool | lock | audit | clean
# Everything runs in .venv, made from hash-locked requirements.
SHELL := bash
PYTHON ?= python3.11
BIN := .venv/bin
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
# Without .pyc files each of the many processes compiles the project for itself.
unexport PYTHONDONTWRITEBYTECODE
CONFIG ?= serve_config.yaml
# Processes that run tests side by side; tests of clusters mostly wait.
WORKERS ?= 3
PYTEST := $(BIN)/python -m pytest -q --durations=10 --durations-min=1
SIDE_BY_SIDE := -n $(WORKERS) --no-loadscope-reorder

.PHONY: serve env env-dev s3 models lint format types contracts debian bench agree simulate chaos test all-checks tests \
	test-busy test-long promtool lock audit manifests image-test clean

serve: models  ## train what is missing, start in the fast mode, say where
	@exec $(BIN)/sluice up $(CONFIG)

$(BIN)/pip:
	@$(PYTHON) -m venv --clear .venv \
		|| { echo "no $(PYTHON): install it, or call make PYTHON=..."; false; }

INSTALL := install --quiet --disable-pip-version-check
.venv/.uv: requirements/uv.txt | $(BIN)/pip
	@$(BIN)/pip $(INSTALL) --require-hashes -r requirements/uv.txt
	@touch $@

# uv takes half the CPU of pip, on all cores. It reads no settings of pip, such as the index of a
# company: where it cannot install, pip does. $(1) is the Python, $(2) the lock file.
locked = $(BIN)/uv pip install --quiet --compile-bytecode --require-hashes --python $(1) -r $(2) \
	|| $(1) -m pip $(INSTALL) --require-hashes -r $(2)

env: .venv/.serving
.venv/.serving: requirements/train.txt pyproject.toml .venv/.uv
	@echo "making the environment (.venv) from requirements/train.txt ..."
	@$(call locked,$(BIN)/python,requirements/train.txt)
	@$(BIN)/pip $(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

env-dev: .venv/.dev
.venv/.dev: requirements/dev.txt .venv/.serving
	@echo "adding the tools of the tests from requirements/dev.txt ..."
	@$(call locked,$(BIN)/python,requirements/dev.txt)
	@touch $@

s3: .venv/.s3  # the S3 server of the tests, in an environment of its own
.venv/.s3: requirements/s3.txt .venv/.uv
	@$(PYTHON) -m venv --clear .venv/s3
	@$(call locked,.venv/s3/bin/python,requirements/s3.txt)
	@touch $@

models: env  ## train what $(CONFIG) serves and is not there yet, as far as its rows can be made
	@$(BIN)/python -m training.missing $(CONFIG)

format: env-dev  ## rewrite the layout of the code
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

lint: env-dev
	@$(BIN)/ruff format --check . && $(BIN)/ruff check .
types: env-dev
	@$(BIN)/mypy
contracts: env-dev
	@$(BIN)/lint-imports --no-cache

# wrk (load) and ip (networks of nodes): tests that need one skip, with the reason, where it is
# missing.
debian:
	@{ command -v wrk && command -v ip; } >/dev/null \
		|| { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq \
		&& apt-get install -y -qq wrk iproute2 >/dev/null; } || true

bench: env-dev models debian  ## every contender side by side; see docs/performance.md
	@$(BIN)/python -m benchmarks run $(ARGS)

agree: env-dev  ## every kind of pipeline: what is served is what the pipeline says, row by row
	@$(BIN)/python -m benchmarks agree $(ARGS)

# ARGS="--scenario NAME --runs 100 --seed 1", or "--scenario NAME --story SEED".
simulate: env-dev  ## rollouts of the real code in virtual time, with faults of every kind
	@$(BIN)/python -m benchmarks.simulator $(ARGS)

# ARGS="--short", or "--fault NAME --mode fast --placement isolated --seconds 30".
chaos: env-dev models debian s3  ## one fault after the other under steady load, with a report
	@$(BIN)/python -m benchmarks.chaos $(ARGS)

# The environments are made side by side, then types and imports are checked beside the tests.
test:  ## everything: layout, lint, types, imports, unit, training, cluster, end to end
	@MAKE_STARTED_S=$$(date +%s) $(MAKE) --no-print-directory -j4 all-checks
all-checks: lint types contracts tests
tests: lint models debian s3
	@$(PYTEST) $(SIDE_BY_SIDE)

test-busy: env-dev models debian s3  ## all tests three times, with four busy processes beside them
	@$(BIN)/python tests/support/busy.py $(PYTEST) $(SIDE_BY_SIDE)

test-long: env-dev models  ## rollouts with 10,000 requests each, 100,000 hostile ones, a minute's soak
	@SLUICE_LONG=1 $(PYTEST) tests/cluster/test_rollouts.py tests/cluster/test_hostile_over_http.py \
		tests/cluster/test_soak_over_http.py tests/cluster/test_rates_on_a_cluster.py \
		tests/unit/http/test_hostile_requests.py

COMPILE := uv pip compile -q --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header
lock: env-dev  ## compile the lock files again, with hashes and without index lines
	@cd requirements && export PATH="$(CURDIR)/$(BIN):$$PATH" \
		&& $(COMPILE) train.in -o train.txt && $(COMPILE) s3.in -o s3.txt \
		&& $(COMPILE) audit.in -o audit.txt && for name in uv serve sklearn boosters parquet query dev; do \
			$(COMPILE) -c train.txt $$name.in -o $$name.txt || exit 1; done

# Without a network the recipes end with 3: nobody could tell. `make` itself then ends with 2.
.venv/.audit: requirements/audit.txt .venv/.uv
	@$(PYTHON) -m venv --clear .venv/audit
	@{ $(call locked,.venv/audit/bin/python,requirements/audit.txt); } \
		|| { echo "audit: its own packages could not be installed: is there a network?" >&2; exit 3; }
	@touch $@

audit: .venv/.audit  ## what is known of each locked package, and lists of them in build/sbom; needs a network
	@requirements/audit.sh .venv/audit/bin/pip-audit build/sbom requirements/*.txt

# Debian's package prometheus has it. Tests run the same where it is there, and skip else.
promtool:  ## check the rules of alerts, and run their tests
	@command -v promtool >/dev/null || { echo "promtool: not found; Debian's package prometheus has it" >&2; false; }
	@cd observability/prometheus && promtool check config prometheus.yml && promtool test rules tests/*.yaml

manifests: env  ## write serve_config.yaml into the RayService for KubeRay
	@$(BIN)/sluice manifests $(CONFIG)

# ARGS="--only hardened drained", or "--only write_sizes", which writes docs/deploy.md.
image-test: env-dev models  ## build the image's targets for real and run them; needs Docker, or root on Debian
	@$(BIN)/python docker/image_test.py $(ARGS)

clean:  ## forget the environment; model_store stays
	@rm -rf .venv build *.egg-info
