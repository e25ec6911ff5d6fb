"""Toolchains: virtual environments of their own, for libraries whose pins exclude ours.

Each is a pinned requirements file that ships with the package, named ``NAME-pyXY.txt`` for the
Python that it was tested with. The environment lives in the user's cache folder under a name that
holds the file's hash, so that an environment is never changed, only replaced.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..availability import AVAILABLE, Availability
from ..errors import UnavailableError, UsageError

_REQUIREMENTS = Path(__file__).with_name("requirements")
_PYTHON_TAG = f"py{sys.version_info.major}{sys.version_info.minor}"
_SHOWN_LINES = 8


@dataclass(frozen=True, kw_only=True)
class Toolchain:
    """One toolchain on this machine.

    Attributes:
        name: Its name.
        requirements: The pinned requirements for this Python; ``None`` if there are none.
        folder: Where its environment is or would be.
    """

    name: str
    requirements: Path | None
    folder: Path

    @property
    def installed(self) -> bool:
        """Whether its environment is complete."""
        return self.python.exists()

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def toolchains() -> list[Toolchain]:
    """Return every toolchain that the package knows, installed or not."""
    names = sorted({file.stem.rpartition("-")[0] for file in _REQUIREMENTS.glob("*-py*.txt")})
    return [_toolchain(name) for name in names]


def toolchain_named(name: str) -> Toolchain:
    """Return the toolchain called ``name``; ``UsageError`` if there is none."""
    for each in toolchains():
        if each.name == name:
            return each
    known = ", ".join(each.name for each in toolchains())
    raise UsageError(f"there is no toolchain {name!r}", hint=f"toolchains: {known}")


def probe(name: str) -> Availability:
    """Tell whether a toolchain can be used; one that is not there yet is made on first use."""
    toolchain = toolchain_named(name)
    if toolchain.installed:
        return AVAILABLE
    if toolchain.requirements is None:
        return Availability(
            available=False,
            reason=f"no tested requirements of {name} for this Python ({_PYTHON_TAG})",
        )
    return Availability(
        available=True,
        reason="not installed yet; made on first use",
        mend=f"driftbridge toolchain install {name}",
    )


def install(name: str, say: Callable[[str], None] = lambda text: None) -> Toolchain:
    """Make a toolchain's environment, if it is not there yet.

    It is built aside and renamed when it is complete, so that a half-made one is never used.

    Args:
        name: The toolchain.
        say: Called with lines of progress.

    Raises:
        UnavailableError: There are no requirements for this Python, the cache folder cannot be
            written, or pip failed; its last lines are in the message.
    """
    toolchain = toolchain_named(name)
    if toolchain.installed:
        return toolchain
    if toolchain.requirements is None:
        raise UnavailableError(probe(name).reason)
    root = toolchain.folder.parent
    try:
        root.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{name}-making-", dir=root))
    except OSError as error:
        raise UnavailableError(
            f"the toolchain {name} could not be made in {root}: {error.strerror}",
            hint="another cache folder is set with DRIFTBRIDGE_CACHE",
        ) from error
    try:
        say(f"toolchain {name}: making an environment in {toolchain.folder}")
        _run([sys.executable, "-m", "venv", str(aside)], name, say)
        python = str(aside / toolchain.python.relative_to(toolchain.folder))
        pip = [python, "-m", "pip", "install", "--disable-pip-version-check"]
        _run([*pip, "--requirement", str(toolchain.requirements)], name, say)
        try:
            aside.rename(toolchain.folder)
        except OSError:
            if not toolchain.installed:  # another process was not just faster
                raise
        say(f"toolchain {name}: ready")
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return toolchain


def remove(name: str) -> bool:
    """Delete a toolchain's environments, also those of older requirements.

    Returns:
        Whether there was any.
    """
    toolchain = toolchain_named(name)
    root = toolchain.folder.parent
    found = [each for each in root.glob(f"{name}-py*") if each.is_dir()]
    half_made = [each for each in root.glob(f".{name}-making-*") if each.is_dir()]
    for each in (*found, *half_made):
        shutil.rmtree(each)
    return bool(found)


def python_of(name: str, say: Callable[[str], None] = lambda text: None) -> Path:
    """Return a toolchain's interpreter, making the environment first if it is not there."""
    return install(name, say).python


def environment_of(name: str) -> dict[str, str]:
    """Return the environment variables for a toolchain's processes: ours, without our Python."""
    kept = _without_our_python()
    folder = toolchain_named(name).python.parent
    return {**kept, "PATH": f"{folder}{os.pathsep}{kept.get('PATH', '')}"}


def _toolchain(name: str) -> Toolchain:
    file = _REQUIREMENTS / f"{name}-{_PYTHON_TAG}.txt"
    known = file if file.exists() else None
    content = file.read_bytes() if known else b""
    key = hashlib.sha256(content + sys.version.encode()).hexdigest()[:12]
    return Toolchain(
        name=name, requirements=known, folder=_cache_root() / f"{name}-{_PYTHON_TAG}-{key}"
    )


def _cache_root() -> Path:
    override = os.environ.get("DRIFTBRIDGE_CACHE")
    if override:
        return Path(override) / "toolchains"
    import platformdirs

    return Path(platformdirs.user_cache_dir("driftbridge", appauthor=False)) / "toolchains"


def _without_our_python() -> dict[str, str]:
    """Our environment variables; with ours on its path, pip would find our packages installed."""
    hidden = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__"}
    return {key: value for key, value in os.environ.items() if key not in hidden}


def _run(command: list[str], name: str, say: Callable[[str], None]) -> None:
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=_without_our_python(),
    )
    assert process.stdout is not None
    lines = []
    try:
        for line in process.stdout:
            lines.append(line.rstrip())
            if line.startswith(("Collecting", "Installing")):
                say(f"toolchain {name}: {line.strip()[:100]}")
        code = process.wait()
    finally:
        process.kill()
    if code:
        tail = "\n".join(lines[-_SHOWN_LINES:])
        raise UnavailableError(
            f"the toolchain {name} could not be made (exit code {code}):\n{tail}",
            hint=f"driftbridge toolchain install {name}",
        )
