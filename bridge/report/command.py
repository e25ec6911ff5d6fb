"""The command line that makes the results of a report again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# Flags that are on by default; recorded as true they need no word.
_ON = {"validate": "--no-validate", "latency": "--no-latency"}
_IMAGES = {"resize": "x", "crop": "x", "mean": ",", "std": ","}


def command(document: Mapping[str, Any]) -> str:
    """Return the command, quoted for a shell; empty if there was none.

    A module in the memory of a Python program has no command.
    """
    source, options = document["source"], dict(document["options"])
    formats = [each["format"] for each in document["conversions"]]
    if not formats or (source["format"] == "torch" and ":" not in source["text"]):
        return ""
    given = options.pop("validated", None)
    words = ["driftbridge"]
    if given is None:
        words += ["convert", source["text"], "--to", ",".join(formats)]
    else:
        words += ["validate", given, "--against", source["text"]]
    for name in ("weights", "inputs"):
        if source.get(name):
            words += [f"--{name}", source[name]]
    words += _images(source.get("images") or {})
    words += _options(options)
    return shlex.join(words)


def _images(images: Mapping[str, Any]) -> Iterator[str]:
    for name, separator in _IMAGES.items():
        if images.get(name):
            yield from (f"--{name}", separator.join(f"{each:g}" for each in images[name]))
    if images.get("order"):
        yield from ("--channel-order", images["order"])


def _options(options: Mapping[str, Any]) -> Iterator[str]:
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if name in _ON:
            yield from () if value else (_ON[name],)
        elif name == "drift":
            if value.get("fail_on", "fail") != "fail":
                yield from ("--fail-on", value["fail_on"])
            if value.get("thresholds"):
                yield from ("--thresholds", "THRESHOLDS.toml")  # its reasons are in the report
        elif value is True:
            yield flag
        elif isinstance(value, Sequence) and not isinstance(value, str):
            yield from (word for each in value for word in (flag, str(each)))
        elif value not in (None, False):
            yield from (flag, str(value))
