"""Kotlin in tests: the compiler of the package kotlin-jupyter-kernel, and small stubs of LiteRT."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

STUBS = Path(__file__).resolve().parent / "kotlin_stubs"
_COMPILER = "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"
_QUICK = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto")


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """Compiled classes, with those of the stubs.

    Attributes:
        classpath: Where they are.
    """

    classpath: str

    def run(
        self, assets: Path, tests: Path, recorded: Path, classes: Sequence[str], *, gpu: bool = True
    ) -> dict[str, str]:
        """Run JUnit classes on recorded outputs; return ``Class.method`` → how it ended."""
        done = subprocess.run(
            [
                *("java", *_QUICK, "-cp", self.classpath, "RunTests"),
                *map(str, (assets, tests, recorded)),
                "yes" if gpu else "no",
                *classes,
            ],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return dict(line.split(": ", 1) for line in done.stdout.splitlines())


def compile_kotlin(sources: Sequence[Path], folder: Path) -> Compiled:
    """Compile the sources in some folders, and the stubs; warnings are errors.

    It skips the test if this machine has no Java or no Kotlin compiler; under CI that is an error.
    """
    compiler, library = _jars()
    java = [str(each) for each in sorted((STUBS / "java").rglob("*.java"))]
    _call(["javac", "-encoding", "UTF-8", "-d", str(folder), *java])
    classpath = f"{folder}{os.pathsep}{library}"
    options = ["-no-stdlib", "-no-reflect", "-jvm-target", "17", "-Werror", "-cp", classpath]
    folders = (STUBS / "kotlin", *sources)
    kotlin = [str(file) for each in folders for file in sorted(each.rglob("*.kt"))]
    _call(["java", *_QUICK, "-cp", str(compiler), _COMPILER, *options, "-d", str(folder), *kotlin])
    return Compiled(classpath=classpath)


def record(folder: Path, inputs: Mapping[str, NDArray[Any]], outputs: Mapping[str, Any]) -> Path:
    """Write what the stub of a runtime gives; tensors ``[K, *shape]`` in the file's order."""
    folder.mkdir(parents=True)
    index = {
        side: [_recorded(folder, f"{side}{place}", *each) for place, each in enumerate(arrays)]
        for side, arrays in (("inputs", inputs.items()), ("outputs", outputs.items()))
    }
    (folder / "stub.json").write_text(json.dumps(index))
    return folder


def _recorded(folder: Path, stem: str, name: str, array: NDArray[Any]) -> dict[str, Any]:
    files = [f"{stem}-{sample}" for sample in range(len(array))]
    for file, sample in zip(files, array, strict=True):
        little = np.ascontiguousarray(sample, sample.dtype.newbyteorder("<"))
        (folder / file).write_bytes(little.tobytes())
    return {
        "name": name,
        "shape": list(array.shape[1:]),
        "width": array.dtype.itemsize,
        "files": files,
    }


def _jars() -> tuple[Path, Path]:
    found = importlib.util.find_spec("run_kotlin_kernel")
    missing = [tool for tool in ("java", "javac") if shutil.which(tool) is None]
    if found is None or found.origin is None:
        missing.append("the package kotlin-jupyter-kernel")
    if missing or found is None or found.origin is None:
        reason = f"Kotlin cannot be compiled without {' and '.join(missing)}"
        if "CI" in os.environ:
            pytest.fail(reason)
        pytest.skip(reason)
    jars = Path(found.origin).parent / "jars"
    (compiler,), (library,) = jars.glob("kotlin-jupyter-kernel-*.jar"), jars.glob("kotlin-stdlib-*")
    return compiler, library


def _call(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
