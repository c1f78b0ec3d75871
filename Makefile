# Everything a user does; `make help` lists it.
SHELL := /bin/bash
PROFILE ?= demo
STUDY ?= all
EXPERIMENT ?= all
CORPUS ?=
NB ?=
SCHEDULER ?=
# Not ?=: shells and conda set HOST to the name of the machine.
HOST = 127.0.0.1
PORT ?= 8866
TORCH_INDEX ?=
QUICK ?=
ROOM ?=
MUSICLATENT_DATA ?= data
# Notebooks run in other folders, so the address becomes absolute here, once; where it was given to
# make too. $(abspath) would take every word of a path with spaces for a path of its own.
override MUSICLATENT_DATA := $(if $(filter ~/%,$(firstword $(MUSICLATENT_DATA))),$(subst ~/,$(HOME)/,$(MUSICLATENT_DATA)),$(if $(filter /% ~,$(firstword $(MUSICLATENT_DATA))),,$(CURDIR)/)$(MUSICLATENT_DATA))
export MUSICLATENT_DATA
export MUSICLATENT_HOME := $(CURDIR)
include musiclatent/environment.mk

# Files of up to 100 MB are dropped on a map: Jupyter takes messages of 10 MiB.
LARGE := {"websocket_max_message_size": 120000000}

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	"$$p" -c '$(FITS)' 2>/dev/null && echo "$$p" && break; done)

.DEFAULT_GOAL := help
.PHONY: help setup lint test reproduce notebook record weights lab dashboard listen colab bench docs clean distclean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## */\1\t/' | expand -t 12
	@echo "options of reproduce and notebook: PROFILE=demo|real|paper STUDY=name|all EXPERIMENT=row CORPUS=folder SCHEDULER=tcp://..."

setup: $(READY)  ## make the virtual environment with everything in it (TORCH_INDEX= for another wheel index)

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "musiclatent needs Python 3.11, 3.12 or 3.13 on the PATH; name one with PYTHON=..."; exit 1; }
	@echo "setting up $(VENV): a few minutes, once"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@if [ -n "$(TORCH_INDEX)" ]; then $(BIN)/python -m pip install -q -c constraints.txt --index-url $(TORCH_INDEX) torch; fi
	@$(BIN)/python -m pip install -q -c constraints.txt -e '.[lab,hub,dev,docs]'
	@$(BIN)/python -m ipykernel install --sys-prefix --name python3 > /dev/null
	@find $(VENV) -path '*librosa*' -name '*.nb[ci]' -delete  # may hold code of two processes
	@$(BIN)/python -m musiclatent.numba_cache
	@touch $@

lint: $(READY)  ## check format, rules, stripped notebooks, layers and the notebook contract
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/nbstripout --verify notebooks/*.ipynb
	@$(BIN)/python -m pytest tests/test_layers.py tests/test_notebooks.py -k 'not runs' --durations=0

ROOMS := audio features analysis data models training latents evaluation edm display apps
# Three files of tests at a time, each on one thread; pytest keeps what it makes of each file.
TESTS = PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(if $(ROOM),tests/$(ROOM))

test: $(READY)  ## run the tests, of one room with ROOM=audio; those on real data need MUSICLATENT_DATA
	@if [ -n "$(ROOM)" ] && [ -z "$(filter $(ROOM),$(ROOMS))" ]; then \
		echo "there is no room '$(ROOM)'; choose one of: $(ROOMS)"; exit 1; \
	fi
	@if [ -d "$(MUSICLATENT_DATA)/gtzan" ] || [ -d "$(MUSICLATENT_DATA)/fsdd" ]; then \
		$(TESTS); \
	else \
		env -u MUSICLATENT_DATA $(TESTS); \
	fi

WHAT = --profile "$(PROFILE)" --study "$(STUDY)" --experiment "$(EXPERIMENT)" --corpus "$(CORPUS)" --scheduler "$(SCHEDULER)"

reproduce: $(READY)  ## run every notebook of a study or of all, then write results/<profile>/index.html
	@$(BIN)/musiclatent reproduce $(WHAT)

notebook: $(READY)  ## run one notebook, such as NB=21_mel_evaluation, then write the report
	@$(BIN)/musiclatent notebook $(WHAT) -- "$(NB)"

record: $(READY)  ## write the figures of a run with PROFILE=real to docs/results, to be committed (STUDY=)
	@$(BIN)/musiclatent record --study "$(STUDY)"

weights: $(READY)  ## put models that PROFILE=real trained into the package, each with its card
	@$(BIN)/musiclatent models ship

lab: $(READY)  ## open JupyterLab on the notebooks
	@$(BIN)/jupyter lab notebooks --ServerApp.tornado_settings='$(LARGE)'

dashboard: $(READY)  ## serve the dashboard of dance music as a web page with a token (PROFILE= CORPUS= HOST= PORT=)
	@$(BIN)/musiclatent dashboard --profile "$(PROFILE)" --corpus "$(CORPUS)" --host "$(HOST)" --port "$(PORT)"

listen: $(READY)  ## serve blind listening pages on this machine, made where they are missing; answers stay here (PROFILE= PORT=)
	@test -f "results/$(PROFILE)/waveform/listening/listen.html" || $(BIN)/musiclatent notebook --profile "$(PROFILE)" --study waveform -- 13_waveform_listening
	@$(BIN)/musiclatent listen --profile "$(PROFILE)" --port "$(PORT)"

colab: $(READY)  ## write notebooks to results/colab that run in Colab after upload
	@$(BIN)/musiclatent colab

docs: $(READY)  ## build results/docs: quickstart, executed notebooks of one PROFILE, API, results; links are checked
	@PROFILE="$(PROFILE)" NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "site: results/docs/index.html"

BENCHMARKS = $(filter-out benchmarks/common.py,$(wildcard benchmarks/*.py))
MEASURED = echo "$$0"; $(BIN)/python "$$0" || exit 255
SEEN = figures=$$($(BIN)/python "$$0" --quick) || exit 255; printf "%s\n%s\n" "$$0" "$$figures"

# Small inputs show that all of them run: three at a time, since nobody quotes their figures.
bench: $(READY)  ## measure speed and memory as ratios against peers (QUICK=1 for small inputs)
	@printf '%s\n' $(BENCHMARKS) | xargs -n 1 $(if $(QUICK),-P 3 sh -c '$(SEEN)',sh -c '$(MEASURED)')

REMOVE := if [ -d "$$folder" ]; then \
	echo "removing $(CURDIR)/$$folder, $$(du -sh "$$folder" | cut -f1)"; rm -rf "$$folder"; fi

# Folders of one's own music have results beside the profile's: results/demo-Music-1a2b3c.
clean:  ## say what the results of one PROFILE take, then remove them
	@case "$(PROFILE)" in tiny|demo|real|paper) ;; \
		*) echo "there is no profile '$(PROFILE)'; choose one of: tiny, demo, real, paper"; exit 1;; esac
	@for folder in results/$(PROFILE) results/$(PROFILE)-*; do $(REMOVE); done

distclean:  ## say what all results and the virtual environment take, then remove them
	@for folder in results "$(VENV)"; do $(REMOVE); done
