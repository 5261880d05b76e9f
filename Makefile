# Every target works on a fresh machine: it creates the virtual environment that it needs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export OMP_NUM_THREADS ?= 2
# The shipped checkpoint and the README's figures come from the CPU. ARECA_DEVICE=auto uses a GPU if there is one.
export ARECA_DEVICE ?= cpu

.PHONY: quickstart test test-slow check fuzz kills nano nano-eval bench clean

$(READY): pyproject.toml
	@echo "1/2 creating a virtual environment in $(VENV): some seconds"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --upgrade pip
	@echo "2/2 installing areca and its dependencies, of which torch is the largest: usually 2 to 10 minutes"
	@$(BIN)/pip install --progress-bar on -e '.[dev]'
	@touch $@

quickstart: $(READY)  ## translate French speech to English speech with the shipped model
	$(BIN)/python -m areca.cli.quickstart

test: $(READY)  ## run the fast tests in one process a core, at most four
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist loadfile

test-slow: $(READY)  ## run the tests that take minutes
	$(BIN)/python -m pytest -q -m slow

KILLS ?= results/kills

kills: $(READY)  ## kill -9 each verb 20 times and compare its output with that of an undisturbed run (resumable)
	$(BIN)/python tests/kills $(KILLS)

check: $(READY)  ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fuzz: $(READY)  ## try 10,000 damaged and hostile inputs, at most 20 minutes on two cores; SEED=n draws others
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz --minutes 20 --seed $(or $(SEED),0)

nano: $(READY)  ## train and export the shipped checkpoint from scratch (resumable)
	$(BIN)/areca train recipes/nano.yaml
	$(BIN)/areca export recipes/nano.yaml core/areca/assets/nano --replace

PROMPT := The number is one hundred and one.
JUDGE = {name: whisper, path: $(WHISPER), initial_prompt: $(PROMPT), compute_type: int8, threads: 2}

nano-eval: $(READY)  ## make the README's table; WHISPER=folder of a CTranslate2 Whisper adds that judge
	$(BIN)/areca evaluate
	$(BIN)/areca evaluate -t ast --decoding beam -o results/nano-beam
	$(BIN)/areca evaluate -s human-unheard -t asr -t ast -o results/nano-unheard
ifdef WHISPER
	$(BIN)/areca evaluate -t asr+ast+s2st -s human --limit 67 -j "$(JUDGE)" -o results/nano-whisper-human
	$(BIN)/areca evaluate -t asr+ast+s2st -s synthetic --limit 50 -j "$(JUDGE)" -o results/nano-whisper-synthetic
endif

bench: $(READY)  ## measure speed and memory, each against a named peer in the same run
	$(BIN)/python -m bench

clean:
	rm -rf $(VENV) quickstart results
