# Everything runs in .venv, which the first target that needs it makes.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test check bench clean install

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	touch $(STAMP)

demo: install  ## convert a small CNN to every format, run it everywhere, show how far it drifted
	$(BIN)/driftbridge convert fixtures/models.py:digits_cnn \
	  --weights fixtures/digits_cnn.safetensors --inputs fixtures/digits_cnn.npz \
	  --to torchscript,mobile,onnx,tflite --out out/digits_cnn

test: install check  ## lint, types and all tests but the slow ones
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not slow"

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: install  ## whole-process and in-process times, as a table
	$(BIN)/python -m tests.bench

clean:
	rm -rf $(VENV) out build dist *.egg-info
