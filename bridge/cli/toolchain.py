"""``driftbridge toolchain``: the environments of libraries that cannot live beside ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console import Json, Quiet, Terminal, errors_as_exit_codes

if TYPE_CHECKING:
    from ..toolchain import Toolchain

Name = Annotated[str, typer.Argument(help="The toolchain: driftbridge toolchain list shows all.")]

toolchain_app = typer.Typer(
    name="toolchain",
    help="Install, list or remove the environments of converters that cannot live beside ours.",
    no_args_is_help=True,
)


@toolchain_app.command()
def install(name: Name, quiet: Quiet = False, json: Json = False) -> None:
    """Make a toolchain's environment, if it is not there yet."""
    terminal = Terminal(quiet=quiet, json=json)
    with errors_as_exit_codes(terminal):
        from rich.markup import escape

        from ..toolchain import install as make
        from ..toolchain import toolchain_named

        before = toolchain_named(name).installed
        with terminal.progress() as say:
            toolchain = make(name, say)
        state = "was installed already" if before else "is installed"
        terminal.show(escape(f"{name} {state} in {toolchain.folder}"))
        terminal.emit(_document(toolchain))


@toolchain_app.command("list")
def list_(quiet: Quiet = False, json: Json = False) -> None:
    """Show every toolchain: whether it is installed, where, and how much room it takes."""
    terminal = Terminal(quiet=quiet, json=json)
    with errors_as_exit_codes(terminal):
        from rich.markup import escape
        from rich.table import Table

        from ..report.wording import size_text
        from ..toolchain import toolchains

        documents = [_document(each) for each in toolchains()]
        table = Table()
        for title in ("toolchain", "installed", "size", "folder"):
            table.add_column(title, overflow="fold")
        for each in documents:
            table.add_row(
                escape(each["name"]),
                "yes" if each["installed"] else escape(each["reason"] or "no"),
                size_text(each["size"]) if each["installed"] else "",
                escape(each["folder"]),
            )
        terminal.show(table)
        terminal.emit({"toolchains": documents})


@toolchain_app.command()
def remove(name: Name, quiet: Quiet = False, json: Json = False) -> None:
    """Delete a toolchain's environments, also those of older requirements."""
    terminal = Terminal(quiet=quiet, json=json)
    with errors_as_exit_codes(terminal):
        from rich.markup import escape

        from ..toolchain import remove as delete

        removed = delete(name)
        terminal.show(escape(f"{name} {'is removed' if removed else 'was not installed'}"))
        terminal.emit({"name": name, "removed": removed})


def _document(toolchain: Toolchain) -> dict[str, Any]:
    from ..artifact import size_of
    from ..toolchain import probe

    availability = probe(toolchain.name)
    return {
        "name": toolchain.name,
        "installed": toolchain.installed,
        "reason": "" if availability.available else availability.reason,
        "folder": str(toolchain.folder),
        "size": size_of(toolchain.folder) if toolchain.installed else 0,
    }
