"""``report.html``: one file that needs nothing else, neither a server nor the network."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import jinja2
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from . import view, wording
from .command import command
from .contracts import contracts
from .findings import findings
from .layer_columns import layer_columns
from .reading import accumulated, isolated, limits_of, targets_of
from .route_tree import route_tree

_LIBRARY = "uplot/uPlot.iife.min.js"
_LICENCE = "uplot/LICENSE"
# In the order in which they need each other.
_SCRIPTS = ("layers.js", "chart.js", "table.js", "panel.js", "page.js")
_STYLES = ("uplot/uPlot.min.css", "report.css")
_PLAIN_ROWS = 200


def html_report(document: Mapping[str, Any]) -> str:
    """Return the page of a report.

    Everything that comes from the model is text in it: the template escapes, the data block cannot
    be closed from within, and the page's own policy runs no script but the page's.
    """
    environment = _environment()
    script = _script(environment)
    lines = view.target_lines(document)
    verdict, sentence = view.overall(document)
    failing = list(view.failing_layers(document))
    columns = layer_columns(document)
    return environment.get_template("report.html").render(
        report=document,
        verdict=verdict,
        sentence=sentence,
        lines=lines,
        findings=findings(document),
        routes=route_tree(document, lines),
        limits=_limits(document),
        coverage={
            name: target["layers"]["coverage"]
            for name, target in targets_of(document).items()
            if target["layers"].get("coverage")
        },
        failing=failing[:_PLAIN_ROWS],
        failing_total=len(failing),
        command=command(document),
        contracts=contracts(document),
        compatibility=_compatibility(document),
        places={layer["id"]: place for place, layer in enumerate(document["layers"])},
        reduced=columns["reduced"],
        columns=htmlsafe_json_dumps(columns, dumps=_compact),
        styles=[Markup(_text(environment, name)) for name in _STYLES],
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        accumulated=accumulated,
        isolated=isolated,
    )


def _compatibility(document: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return what is known of each artifact, those for a phone's delegates first."""
    facts = (document.get("compatibility") or {}).items()
    return sorted(facts, key=lambda each: not (each[1].get("xnnpack") or each[1].get("gpu")))


def _limits(document: Mapping[str, Any]) -> dict[tuple[float, float], list[str]]:
    """Return the targets that are judged by the same limits of drift, by these."""
    found: dict[tuple[float, float], list[str]] = {}
    for name in targets_of(document):
        found.setdefault(limits_of(document, name), []).append(name)
    return found


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("bridge.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.ChainableUndefined,  # parts that older reports lack
    )
    environment.filters.update(
        figure=wording.figure_text,
        db=wording.db_text,
        size=wording.size_text,
        seconds=wording.seconds_text,
        percent=wording.percent_text,
        shape=wording.shape_text,
        range=wording.range_text,
        mark=lambda verdict: wording.MARKS.get(verdict, "–"),
        kind=lambda verdict: verdict.replace(" ", "-") if verdict in wording.MARKS else "not-run",
    )
    environment.globals.update(plural=wording.plural, row_verdict=view.row_verdict)
    return environment


def _script(environment: jinja2.Environment) -> str:
    """Return the page's one script: the plotting library, and ours in a scope of its own."""
    licence = f"/* uPlot is used under this licence:\n{_text(environment, _LICENCE)}*/"
    own = (_text(environment, name) for name in _SCRIPTS)
    library = _text(environment, _LIBRARY)
    return "\n".join([licence, library, "(() => {", '"use strict";', *own, "})();"])


def _text(environment: jinja2.Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _compact(value: Any, **_: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
