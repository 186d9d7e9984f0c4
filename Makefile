# Every target makes .venv first when it is missing or older than what it is made from.
PYTHON ?= python3
BIN := .venv/bin
LIBRARY ?= segsearch-demo

.PHONY: setup demo demo-server test test-again test-fast test-engines check check-page format bench bench-search bench-decoder bench-generator bench-ingest bench-click bench-large bench-load bench-page bench-start bench-regions bench-text bench-video bench-fleet bench-engines capacity sizing soak vendor clean

setup: .venv/.installed

# uv installs the same pinned versions many times faster than pip; pip only brings uv.
.venv/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable ".[cpu,map,test,check]"
	touch $@

demo: setup
	$(BIN)/segsearch --library $(LIBRARY) demo

# The same pictures in a library on a real PostgreSQL, with two workers and two nodes that serve it.
demo-server: setup
	$(BIN)/python -m tools.demo_server

# Tests start hundreds of processes. With PYTHONDONTWRITEBYTECODE in the environment, as many
# containers have it, each would compile PyTorch's modules and ours anew: ten seconds of it.
test test-again test-fast test-engines soak: export PYTHONDONTWRITEBYTECODE :=

# A file's tests stay in one process: they share its fixtures. tests/conftest.py puts the longest
# files first.
test: setup
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder -m "not engines"

# The tests that failed before, one after the other with nothing beside them.
test-again: setup
	$(BIN)/python -m pytest --last-failed --last-failed-no-failures none --verbosity 1

# Whole servers of other makers, fleets of workers over them: ten minutes more.
test-engines: setup
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder -m engines

# What starts no server, browser or process, and runs no real model: under two minutes on 2 cores.
test-fast: setup
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder \
		-m "not (engines or slow or process or browser or server)"

check: setup check-page
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy

# The page: types made from the OpenAPI document, linter, types of the modules.
check-page: setup node_modules/.installed
	$(BIN)/python -m tools.page_types .types/page/openapi.json
	$(WITH_NODE) npm run --silent types
	$(WITH_NODE) npm run --silent style
	$(WITH_NODE) npm run --silent lint
	$(WITH_NODE) npm run --silent check

# Where the system has no Node.js of 20.19 or later, one comes as a wheel. No lock file: it would name
# a registry; package.json names versions exactly.
WITH_NODE := PATH="$(CURDIR)/$(BIN):$$PATH"
FITS := process.exit(process.versions.node.localeCompare("20.19", undefined, {numeric: true}) < 0 ? 1 : 0)
node_modules/.installed: package.json | setup
	$(WITH_NODE) npm --version >/dev/null 2>&1 && $(WITH_NODE) node -e '$(FITS)' || \
		$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable ".[node]"
	$(WITH_NODE) npm install --silent --no-audit --no-fund --no-package-lock
	touch $@

format: setup node_modules/.installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(WITH_NODE) npm run --silent format

bench: bench-search bench-decoder bench-generator bench-ingest

# REGIONS=1000000 takes half an hour, most of it for the library and for hnswlib's graph.
REGIONS ?= 100000
LARGE := .benchmarks/large-$(REGIONS)

bench-search: setup
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable ".[bench]"
	test -d .benchmarks/like || $(BIN)/segsearch --library .benchmarks/like index $(DEMO_PICTURES)
	$(BIN)/python -m benchmarks.large_library --like .benchmarks/like --library $(LARGE) --regions $(REGIONS)
	$(BIN)/python -m benchmarks.search --library $(LARGE) \
		--beside numpy --beside faiss-flat --beside hnswlib --beside usearch

# FAISS, pgvector and Milvus over one catalog. REGIONS=1000000 takes hours on 2 cores.
bench-engines: setup
	test -d .benchmarks/like || $(BIN)/segsearch --library .benchmarks/like index $(DEMO_PICTURES)
	$(BIN)/python -m benchmarks.large_library --like .benchmarks/like --library $(LARGE) --regions $(REGIONS)
	$(BIN)/python -m benchmarks.engines --library $(LARGE)

bench-decoder: setup
	$(BIN)/python -m benchmarks.decoder --shape vit_b --shape sam2.1

DEMO_PICTURES := segsearch/cli/demo/pictures
bench-generator: setup
	$(BIN)/python -m benchmarks.generator $(DEMO_PICTURES)/scene-0*.jpg $(DEMO_PICTURES)/photo-c*.jpg
	$(BIN)/python -m benchmarks.generator --model vit_b --points 8 $(DEMO_PICTURES)/photo-cat.jpg $(DEMO_PICTURES)/photo-coffee.jpg

bench-ingest: setup
	$(BIN)/python -m benchmarks.ingest

# Whether 2 and 4 workers on one PostgreSQL get 2 and 4 times as many pictures done.
bench-fleet: setup
	$(BIN)/python -m benchmarks.fleet

bench-click: setup
	$(BIN)/python -m benchmarks.click

# Photographs of 640 to 8,000 px: what they cost, and which masks they lose.
bench-large: setup
	$(BIN)/python -m benchmarks.working_size

bench-load: setup
	$(BIN)/python -m benchmarks.load

# How smooth and how quick the page is, in the system's Chromium.
bench-page: setup
	$(BIN)/python -m benchmarks.page

bench-start: setup
	$(BIN)/python -m benchmarks.start

# The scenes are composed once, with drawings from npm.
bench-regions: setup
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable ".[cpu,test,check,training]"
	test -f .benchmarks/regions/test/annotations.json || $(BIN)/python -m benchmarks.regions.scenes
	$(BIN)/python -m benchmarks.regions
	$(BIN)/python -m benchmarks.absence

# Needs fonts of Debian, and says which. PHOTOGRAPHS is a folder of JPEG files to lay signs into.
bench-text: setup
	$(BIN)/python -m benchmarks.text $(if $(PHOTOGRAPHS),--photographs $(PHOTOGRAPHS))

# PHOTOGRAPHS is a folder of annotated photographs: training/README.md says how it is laid out.
bench-video: setup
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable ".[training]"
	$(BIN)/python -m benchmarks.video.compose --photographs $(PHOTOGRAPHS)
	$(BIN)/python -m benchmarks.video

# A day of ingest and searches in a simulation: where queues form. TIMES is a file that
# `python -m benchmarks.capacity measure` wrote; DAY says what comes and what serves.
TIMES ?= benchmarks/service_times.json
DAY ?= --pictures 20000 --searches 100000 --processes 2 --nodes 2 --slots 2
capacity: setup
	$(BIN)/python -m benchmarks.capacity replay --times $(TIMES) $(DAY)

# The tables of docs/sizing.md.
sizing: setup
	$(BIN)/python -m benchmarks.sizing

# Tools that read what is exported want other versions than those here: each in a folder of its own.
soak: setup
	for tool in ultralytics datumaro label-studio-sdk fiftyone; do \
		into=.soak/$$(echo $$tool | tr - _); \
		test -d $$into || $(BIN)/uv pip install --quiet --python $(BIN)/python --target $$into $$tool || exit 1; \
	done
	SOAK_TOOLS=$(CURDIR)/.soak $(BIN)/python -m pytest -s tests/soak

# Needs npm; the page's libraries lie in the repository.
vendor: node_modules/.installed
	$(WITH_NODE) $(BIN)/python -m tools.vendor

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache node_modules .types/page
