"""Limits of the user's own, each with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.errors import InputError, UsageError
from bridge.validators.thresholds import ThresholdTable, read_thresholds


def read(folder: Path, text: str) -> ThresholdTable:
    file = folder / "limits.toml"
    file.write_text(text, encoding="utf-8")
    return read_thresholds(file)


def test_a_limit_is_changed_with_its_reason_and_the_others_stay(tmp_path: Path) -> None:
    text = '[float32.warn_db]\nvalue = 80\nreason = "agreed"\n'
    table = read(tmp_path, text)
    assert table.limits["float32"].warn_db == 80
    assert table.limits["float32"].fail_db == ThresholdTable().limits["float32"].fail_db
    assert table.limits["float16"] == ThresholdTable().limits["float16"]
    assert table.to_json()["overrides"] == [
        {"name": "float32.warn_db", "value": 80.0, "reason": "agreed"}
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[float32.warn_db]\nvalue = 80\n", "changed without a reason"),
        ("[float32]\nwarn_db = 80\n", "changed without a reason"),
        ('[float32.warn_db]\nvalue = 80\nreason = " "\n', "changed without a reason"),
        ('[float32.warn_db]\nvalue = "80"\nreason = "x"\n', "no number"),
        ('[float32.warn_db]\nvalue = true\nreason = "x"\n', "no number"),
        ('[float32.worn_db]\nvalue = 80\nreason = "x"\n', "no limit float32.worn_db"),
        ('[float23.warn_db]\nvalue = 80\nreason = "x"\n', "no precision 'float23'"),
        ('[float32.warn_db]\nvalue = 10\nreason = "x"\n', "after the failure"),
        ('[float32.fail_ratio]\nvalue = 2\nreason = "x"\n', "after the failure"),
    ],
)
def test_what_cannot_be_justified_is_refused(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        read(tmp_path, text)


def test_a_file_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path, "float32 = [")
    with pytest.raises(InputError, match="cannot be read"):
        read_thresholds(tmp_path / "gone.toml")
