"""What may import what, what an import costs, and what is in a distribution."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import bridge

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "bridge"

# Each row imports only from rows above it, and a package from itself. Two packages in one row do
# not know each other.
ROWS: tuple[tuple[str, ...], ...] = (
    ("errors",),
    ("registry", "availability", "outcome", "layers", "quiet", "tflite_releases", "digesting"),
    ("tflite_versions",),
    ("formats",),
    ("artifact",),
    ("live", "inspection", "toolchain", "axes"),
    ("program", "program_file", "worker"),
    ("mutation", "samples"),
    ("hop",),
    ("planning",),
    ("sources",),
    ("converters", "validators"),
    ("report",),
    ("android",),  # it judges by the verdicts of a report, and the commands above write with it
    ("api",),
    ("cli",),
    ("__main__",),
)
ROW_OF = {name: row for row, names in enumerate(ROWS) for name in names}

# What `import bridge` and every submodule must do without.
FRAMEWORKS = (
    "torch",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "onnxsim",
    "ai_edge_litert",
    "flatbuffers",
    "tensorflow",
    "keras",
    "executorch",
    "jsonschema",
    "sklearn",
    "google",
    "PIL",
)


def source_files() -> list[Path]:
    """Every module of the package, through its symbolic links."""
    found = []
    for folder, _, names in os.walk(PACKAGE, followlinks=True):
        found += [Path(folder, name) for name in names if name.endswith(".py")]
    return sorted(found)


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_modules(file: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of everything of ours that a file imports, also inside functions."""
    package = module_name(file).split(".")
    if file.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            # `from .. import x` names modules, `from ..x import y` a module first of all
            names = [base] if base.count(".") else [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from ((node.lineno, name) for name in names if name.partition(".")[0] == "bridge")


def test_each_module_imports_only_from_the_layers_below_it() -> None:
    offences = []
    for file in source_files():
        if file == PACKAGE / "__init__.py":
            continue  # the façade: it imports nothing until one of its names is asked for
        own = module_name(file).split(".")[1]
        assert own in ROW_OF, f"bridge.{own} has no row: add it to ROWS where it belongs"
        for line, name in imported_modules(file):
            other = name.split(".")[1] if "." in name else "__init__"
            if other in ("__version__", own):
                continue
            if ROW_OF.get(other, len(ROWS)) >= ROW_OF[own]:
                offences.append(f"{file.relative_to(ROOT)}:{line}: {own} may not import {other}")
    assert not offences, "\n".join(offences)


def run_python(code: str, *arguments: str, cwd: Path | None = None) -> str:
    """Run code in a fresh interpreter and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=cwd, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_bridge_loads_no_framework_and_takes_no_time() -> None:
    code = """
import json, sys, time
before = set(sys.modules)
started = time.perf_counter()
import bridge
seconds = time.perf_counter() - started
print(json.dumps([seconds, sorted({name.partition(".")[0] for name in set(sys.modules) - before})]))
"""
    seconds, loaded = min(json.loads(run_python(code)) for _ in range(3))
    assert not set(loaded).intersection({*FRAMEWORKS, "numpy", "rich", "typer", "psutil"})
    assert seconds < 0.2


def test_every_submodule_imports_without_the_optional_frameworks() -> None:
    code = """
import importlib, pkgutil, sys, traceback

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[1:]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
import bridge

names = ["bridge"]
for name in names:
    try:
        module = importlib.import_module(name)
    except Exception:
        print(name, traceback.format_exc(limit=-1))
        continue
    inside = pkgutil.iter_modules(getattr(module, "__path__", []))
    names += [f"{name}.{each.name}" for each in inside]
print(len(names), "modules")
"""
    printed = run_python(code, *FRAMEWORKS)
    assert re.fullmatch(r"\d+ modules\n", printed), printed
    assert int(printed.split()[0]) == len(source_files())


@pytest.mark.parametrize("name", ["converters", "validators"])
def test_a_folder_of_the_package_is_refused_under_its_bare_name(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import {name}"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert f"import bridge.{name} (docs/adr/0001)" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("name", ["converters", "validators"])
def test_a_folder_of_the_package_is_a_link_to_the_top_level_one(name: str) -> None:
    link = PACKAGE / name
    assert link.is_symlink()
    assert Path(os.readlink(link)) == Path("..", name), "absolute links break in a clone"
    assert link.resolve() == ROOT / name


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == bridge.__version__


def packaged_files() -> set[str]:
    """Every file of the package, whatever its type: code, schemas, requirements, py.typed."""
    found = set()
    for folder, folders, names in os.walk(PACKAGE, followlinks=True):
        folders[:] = [each for each in folders if each != "__pycache__"]
        found |= {Path(folder, name).relative_to(ROOT).as_posix() for name in names}
    return found


def test_a_wheel_built_from_the_sdist_holds_the_whole_package_and_nothing_else(
    tmp_path: Path,
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("bridge", "converters", "validators", "tests"):
        shutil.copytree(ROOT / name, project / name, symlinks=True, ignore=ignored)
    for name in ("pyproject.toml", "MANIFEST.in", "LICENSE", "README.md", "constraints.txt"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, project)
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", "dist", "."],
        cwd=project,
        check=True,
        capture_output=True,
    )
    (sdist,), (wheel,) = project.glob("dist/*.tar.gz"), project.glob("dist/*.whl")
    files = packaged_files()

    with tarfile.open(sdist) as archive:
        members = {each.name.partition("/")[2]: each for each in archive.getmembers()}
    assert files <= set(members)
    assert not [name for name, each in members.items() if each.issym() or each.islnk()]
    assert {name.partition("/")[0] for name, each in members.items() if "/" in name} == {
        "bridge",
        "driftbridge.egg-info",
    }

    names = set(zipfile.ZipFile(wheel).namelist())
    information = f"driftbridge-{bridge.__version__}.dist-info"
    assert {name.partition("/")[0] for name in names} == {"bridge", information}
    assert {name for name in names if name.startswith("bridge/")} == files
