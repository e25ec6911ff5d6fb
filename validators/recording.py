"""Stacked arrays in a folder, one .npy file each: more than fits in memory can cross a process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SourceError

_INDEX = "index.json"
_BUFFERED_BYTES = 64 * 2**20


class Recording:
    """Writes the arrays of ``count`` samples, each stacked on a new first axis.

    Samples are kept until they reach a fixed number of bytes and then appended to their files, so
    that memory does not grow with their number, and a small model costs one write per array.

    An array's name may hold any character, so files are numbered and ``index.json`` names them;
    it is written last: a folder without one is not a recording.

    Args:
        folder: Folder to write to; made if it is not there.
        count: How many samples will be added.
    """

    def __init__(self, folder: Path, count: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._count = count
        self._files: dict[tuple[str, str], Path] = {}
        self._rows: dict[tuple[str, str], list[NDArray[Any]]] = {}
        self._first: dict[tuple[str, str], tuple[tuple[int, ...], np.dtype[Any]]] = {}
        self._buffered = 0
        self._added = 0

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._finish()

    def add(self, sample: Mapping[str, Mapping[str, NDArray[Any]]]) -> None:
        """Add one sample: group → name → array, the same names every time.

        Raises:
            SourceError: An array has another shape or type than in the first sample, so that the
                samples cannot be stacked.
        """
        keys = [(group, name) for group, arrays in sample.items() for name in arrays]
        if self._added and keys != list(self._first):
            raise ValueError(f"sample {self._added} has other arrays than the first one")
        for group, name in keys:
            array = sample[group][name]
            first = self._first.setdefault((group, name), (array.shape, array.dtype))
            if first != (array.shape, array.dtype):
                raise cannot_be_stacked(name, self._added, array, *first)
            self._rows.setdefault((group, name), []).append(array)
            self._buffered += array.nbytes
        self._added += 1
        if self._buffered >= _BUFFERED_BYTES:
            self._flush()

    def _flush(self) -> None:
        for key, rows in self._rows.items():
            if key in self._files:
                with self._files[key].open("ab") as file:
                    file.writelines(np.ascontiguousarray(row).data for row in rows)
                continue
            self._files[key] = self._folder / f"{len(self._files)}.npy"
            shape, dtype = self._first[key]
            with self._files[key].open("wb") as file:
                np.lib.format.write_array_header_2_0(
                    file,
                    {
                        "descr": np.lib.format.dtype_to_descr(dtype),
                        "fortran_order": False,
                        "shape": (self._count, *shape),
                    },
                )
                file.writelines(np.ascontiguousarray(row).data for row in rows)
        self._rows.clear()
        self._buffered = 0

    def _finish(self) -> None:
        if self._added != self._count:
            raise ValueError(f"{self._added} samples were recorded instead of {self._count}")
        self._flush()
        index: dict[str, dict[str, str]] = {}
        for (group, name), file in self._files.items():
            index.setdefault(group, {})[name] = file.name
        (self._folder / _INDEX).write_text(json.dumps(index), encoding="utf-8")


def cannot_be_stacked(
    name: str, sample: int, array: NDArray[Any], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> SourceError:
    """Return the error that a sample's array has another shape or type than the first one's."""
    return SourceError(
        f"{name!r} is {array.dtype}{list(array.shape)} in sample {sample}, and "
        f"{dtype}{list(shape)} in the first one: they cannot be stacked",
        hint="its shape depends on the values of the inputs; run one sample at a time",
    )


def read_recording(folder: Path) -> dict[str, dict[str, NDArray[Any]]]:
    """Return what a recording holds: group → name → array ``[count, *shape]``, mapped from disk."""
    index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
    return {
        group: {name: np.load(folder / file, mmap_mode="r") for name, file in files.items()}
        for group, files in index.items()
    }
