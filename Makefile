# `make demo` runs the main job, `make test` the tests: each sets up all it needs in .venv first.
# PIP_ARGS goes to every pip install, for example to name an index of CPU-only torch wheels.
PYTHON ?= python3
PIP_ARGS ?=
BIN := .venv/bin
SMOLLM2 := .cache/smollm2
LLAMA := .cache/llama
LOWEST := .cache/lowest
SHARED ?= ../shared/data
LLAMA_1B ?= .cache/Llama-3.2-1B-Instruct
TOFU_ARGS ?=
CLAIM_ARGS ?=
PIP := $(BIN)/python -m pip --disable-pip-version-check install -q -c constraints.txt $(PIP_ARGS)

.PHONY: demo test test-faults test-install test-lowest test-real test-llama lint format docs bench smollm2 tofu claim lume muse claim-1b results clean

demo: .venv/.ready
	$(BIN)/tif demo --out runs/demo

test: .venv/.ready
	OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false $(BIN)/python -m pytest -n 2 --dist worksteal

# Lets every system call of a save fail, among others, and flips random bits in the files that tif writes. Prints how many
# faults were tried: a quarter of an hour.
test-faults: .venv/.ready
	OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false $(BIN)/python -m pytest -m faults tests/faults
	OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false $(BIN)/python -m tests.faults.flips --flips 10000

# Builds the wheel and the sdist, installs the wheel into an empty venv outside the checkout, and runs `tif demo` there.
test-install: .venv/.ready
	PIP_ARGS='$(PIP_ARGS)' $(BIN)/python -m pytest -m install --durations=5

# The fast tests, and those of Ray, on the lowest versions that pyproject.toml allows.
test-lowest: $(LOWEST)/.ready
	OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false $(LOWEST)/bin/python -m pytest -n 2 --dist worksteal \
		-m 'lowest or not real and not install and not slow and not faults'
	$(LOWEST)/bin/python -m pytest -m real tests/annotate/test_ray.py

# On real data (../shared), a real model and real servers.
test-real: .venv/.real smollm2
	TOKENIZERS_PARALLELISM=false TIF_SMOLLM2=$(SMOLLM2) $(BIN)/python -m pytest -m real --durations=10

# The judge against llama.cpp's server, which is compiled first: ten minutes on two cores.
test-llama: $(LLAMA)/.ready smollm2
	TIF_LLAMA_PYTHON=$(LLAMA)/bin/python TIF_SMOLLM2_GGUF=$(SMOLLM2)/SmolLM2-135M-Instruct.Q4_1.gguf \
		$(BIN)/python -m pytest -m real tests/e2e/test_real_servers.py -k llama

lint: .venv/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The site, into build/site. A warning is an error: a broken link, a name without a page, a docstring that does not parse.
docs: .venv/.ready
	rm -rf build/site
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -b html -c docs --fail-on-warning --keep-going -q . build/site

format: .venv/.ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/.ready
	$(BIN)/python benchmarks/train_step.py
	$(BIN)/python benchmarks/eval.py
	$(BIN)/python benchmarks/leak.py
	$(BIN)/python benchmarks/ner.py
	$(BIN)/python benchmarks/judge.py

# Unlearning on a real model, measured at the last step: hours on a CPU, and resumable. Prints what is missing. Several
# may run at once and share the work, with OMP_NUM_THREADS=1; TOFU_ARGS='--scale full --device cuda' is for a GPU.
tofu: smollm2
	TOKENIZERS_PARALLELISM=false $(BIN)/python -m benchmarks.tofu --model $(SMOLLM2) --data $(SHARED) \
		--gold $(SHARED)/gold/tofu_forget05_gold.jsonl $(TOFU_ARGS)

# The same with tuned methods and random answers: the claim of docs/method.md on TOFU, then on LUME and on MUSE. On a CPU,
# TOFU takes days; LUME and MUSE take hours each. CLAIM_ARGS='--device cuda' is for a GPU. docs/experiments.md has the rest.
claim: smollm2
	TOKENIZERS_PARALLELISM=false $(BIN)/python -m benchmarks.claim --plan tofu --model $(SMOLLM2) --data $(SHARED) \
		--gold $(SHARED)/gold/tofu_forget05_gold.jsonl $(CLAIM_ARGS)

lume muse: smollm2
	TOKENIZERS_PARALLELISM=false $(BIN)/python -m benchmarks.claim --plan $@ --model $(SMOLLM2) --data $(SHARED) \
		$(CLAIM_ARGS)

# TOFU's forget10 and retain90 with Llama-3.2-1B-Instruct, on a GPU with 80 GB. CLAIM_ARGS names the open checkpoints.
claim-1b: .venv/.real
	TOKENIZERS_PARALLELISM=false $(BIN)/python -m benchmarks.claim --plan tofu --scale 1b --model $(LLAMA_1B) \
		--data $(SHARED) --device cuda $(CLAIM_ARGS)

# Writes docs/results.md and its figure from the results of all experiments.
results: .venv/.ready
	$(BIN)/python -m benchmarks.results

smollm2: .venv/.real
	$(BIN)/python benchmarks/smollm2.py $(SMOLLM2)

# torch first and alone: a later package's range must find it there, and not fetch another build. GLiNER's range of
# transformers ends below the version of constraints.txt, but its code runs with that version.
.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tif needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv .venv
	$(PIP) torch
	$(PIP) -e '.[dev]'
	$(PIP) --no-deps gliner sentencepiece
	touch $@

.venv/.real: .venv/.ready
	$(PIP) -e '.[dev,real]'
	touch $@

# torch alone is not the lowest but that of constraints.txt: for x86-64 Linux, PyPI has older versions only with CUDA.
$(LOWEST)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear $(LOWEST)
	$(LOWEST)/bin/python -m pip --disable-pip-version-check install -q -c constraints.txt $(PIP_ARGS) uv torch
	echo torch > $(LOWEST)/excludes.txt
	$(LOWEST)/bin/uv pip compile -q --resolution lowest-direct --extra dev --extra gliner --extra ray --extra lm-eval \
		--python $(LOWEST)/bin/python --excludes $(LOWEST)/excludes.txt pyproject.toml -o $(LOWEST)/requirements.txt
	$(LOWEST)/bin/python -m pip --disable-pip-version-check install -q $(PIP_ARGS) -r $(LOWEST)/requirements.txt
	$(LOWEST)/bin/python -m pip --disable-pip-version-check install -q --no-deps -e .
	$(LOWEST)/bin/python -m pip check
	touch $@

# For any x86-64 since AVX2, and never a wheel from pip's cache: one built for the CPU it was built on need not run on
# another, and the AMX code of this version ends in a segmentation fault at the first prompt (`ldtilecfg`).
$(LLAMA)/.ready:
	$(PYTHON) -m venv $(LLAMA)
	CMAKE_ARGS=-DGGML_NATIVE=OFF $(LLAMA)/bin/python -m pip --disable-pip-version-check --no-cache-dir install -q \
		$(PIP_ARGS) 'llama-cpp-python[server]==0.3.36'
	touch $@

clean:
	rm -rf .venv .cache runs
