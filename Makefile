# Everything runs in .venv, which the first target that needs it makes.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install demo test check bench coverage opinfo scoreboard alignment speed clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	touch $(STAMP)

demo: install  ## convert a small CNN to every format, run it everywhere, show how far it drifted
	$(BIN)/driftbridge convert fixtures/models.py:digits_cnn \
	  --weights fixtures/digits_cnn.safetensors --inputs fixtures/digits_cnn.npz \
	  --to torchscript,mobile,onnx,tflite --out out/digits_cnn

# Files of two packages are read, and nothing of them is imported: the Kotlin compiler's jars and the
# classes of the metadata schema. What they need themselves is left out.
$(VENV)/.android: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps kotlin-jupyter-kernel==0.19.0.944 mediapipe==1.2.2
	touch $@

test: install check $(VENV)/.android  ## lint, types and all tests but the slow ones
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not slow"

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: speed  ## speed, and what conversions and comparisons cost beside the bare calls; the tables of docs/benchmarks.md
	$(BIN)/python -W ignore benchmarks/conversion.py
	$(BIN)/python -W ignore benchmarks/validation.py

coverage: install  ## what the direct compiler makes of every model of the zoo; docs/coverage.md
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps torchvision==0.28.0 pillow timm==1.0.31
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt transformers==5.23.0
	$(BIN)/python -W ignore benchmarks/coverage.py --write docs/coverage.md

opinfo: install  ## PyTorch's own operator samples through the direct compiler; docs/opinfo.md
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps expecttest==0.3.0
	$(BIN)/python -W ignore benchmarks/opinfo.py --write docs/opinfo.md

scoreboard: install  ## faults seeded into good files, and whether the validator names them; docs/scoreboard.md
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps torchvision==0.28.0 pillow
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt transformers==5.23.0
	$(BIN)/python -W ignore benchmarks/scoreboard.py --jobs 2 --write docs/scoreboard.md

alignment: install  ## layers found in foreign files (benchmarks/peers.py makes those); docs/alignment.md
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps torchvision==0.28.0 pillow timm==1.0.31
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt transformers==5.23.0
	$(BIN)/python -W ignore benchmarks/alignment.py --write docs/alignment.md

speed: install  ## conversion and latency beside the peers' files (benchmarks/peers.py makes those); docs/speed.md
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps torchvision==0.28.0 pillow timm==1.0.31
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt transformers==5.23.0
	$(BIN)/python -W ignore benchmarks/speed.py --write docs/speed.md

clean:
	rm -rf $(VENV) out build dist *.egg-info
