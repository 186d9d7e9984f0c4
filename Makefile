# Every target makes .venv first when it is missing or older than what it is made from.
PYTHON ?= python3
BIN := .venv/bin
LIBRARY ?= segsearch-demo

.PHONY: setup demo test test-fast check format bench bench-search bench-decoder bench-generator bench-ingest bench-click bench-large bench-load bench-start bench-regions soak clean

setup: .venv/.installed

# uv installs the same pinned versions many times faster than pip; pip only brings uv.
.venv/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable ".[cpu,map,test,check]"
	touch $@

demo: setup
	$(BIN)/segsearch --library $(LIBRARY) demo

# A file's tests stay in one process: they share its fixtures. The small files come last.
test: setup
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

# What starts no server, browser or process, and runs no real model: under two minutes on 2 cores.
test-fast: setup
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder \
		-m "not (slow or process or browser or server)"

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

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

bench-decoder: setup
	$(BIN)/python -m benchmarks.decoder --shape vit_b --shape sam2.1

DEMO_PICTURES := segsearch/cli/demo/pictures
bench-generator: setup
	$(BIN)/python -m benchmarks.generator $(DEMO_PICTURES)/scene-0*.jpg $(DEMO_PICTURES)/photo-c*.jpg
	$(BIN)/python -m benchmarks.generator --model vit_b --points 8 $(DEMO_PICTURES)/photo-cat.jpg $(DEMO_PICTURES)/photo-coffee.jpg

bench-ingest: setup
	$(BIN)/python -m benchmarks.ingest

bench-click: setup
	$(BIN)/python -m benchmarks.click

# Photographs of 640 to 8,000 px: what they cost, and which masks they lose.
bench-large: setup
	$(BIN)/python -m benchmarks.working_size

bench-load: setup
	$(BIN)/python -m benchmarks.load

bench-start: setup
	$(BIN)/python -m benchmarks.start

# The scenes are composed once, with drawings from npm.
bench-regions: setup
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable ".[cpu,test,check,training]"
	test -f .benchmarks/regions/test/annotations.json || $(BIN)/python -m benchmarks.regions.scenes
	$(BIN)/python -m benchmarks.regions
	$(BIN)/python -m benchmarks.absence

# Tools that read what is exported want other versions than those here: each in a folder of its own.
soak: setup
	for tool in ultralytics datumaro label-studio-sdk fiftyone; do \
		into=.soak/$$(echo $$tool | tr - _); \
		test -d $$into || $(BIN)/uv pip install --quiet --python $(BIN)/python --target $$into $$tool || exit 1; \
	done
	SOAK_TOOLS=$(CURDIR)/.soak $(BIN)/python -m pytest -s tests/soak

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
