"""The registry: how hops, runtimes and metrics find each other."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest

from bridge.errors import RegistryError
from bridge.registry import Registry


def plain() -> Registry[str]:
    registry: Registry[str] = Registry("hop")
    registry.register("torch-export", "first", home="ours.one")
    registry.register("onnx2tf", "second", home="ours.two")
    return registry


def test_members_are_found_by_name_in_order_of_registration() -> None:
    registry = plain()
    assert registry.get("onnx2tf") == "second"
    assert list(registry) == ["first", "second"]
    assert registry.names() == ["onnx2tf", "torch-export"]
    assert registry.home("onnx2tf") == "ours.two"


def test_a_taken_name_is_refused_and_both_places_are_named() -> None:
    registry = plain()
    with pytest.raises(RegistryError, match=r"'onnx2tf': one in ours\.two, one in theirs"):
        registry.register("onnx2tf", "third", home="theirs")
    assert registry.get("onnx2tf") == "second"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("onnx2tv", "did you mean onnx2tf?"),
        ("torch_export", "did you mean torch-export?"),
        ("zzz", "known: onnx2tf, torch-export"),
    ],
)
def test_an_unknown_name_is_answered_with_near_ones(name: str, hint: str) -> None:
    with pytest.raises(RegistryError, match=f"there is no hop '{name}'") as raised:
        plain().get(name)
    assert raised.value.hint == hint
    assert raised.value.code == "registry"


def test_an_empty_registry_says_so() -> None:
    with pytest.raises(RegistryError, match="known: none"):
        Registry[str]("metric").get("sqnr")


def test_the_decorator_registers_under_the_module_of_what_it_decorates() -> None:
    registry: Registry[type] = Registry("runtime")

    @registry.adder("own")
    class Own:
        pass

    assert registry.get("own") is Own
    assert registry.home("own") == __name__


def test_a_member_can_go_and_its_name_be_taken_again() -> None:
    registry = plain()
    registry.unregister("onnx2tf")
    with pytest.raises(RegistryError):
        registry.get("onnx2tf")
    registry.register("onnx2tf", "another", home="theirs")
    assert registry.home("onnx2tf") == "theirs"
    with pytest.raises(RegistryError, match="there is no hop 'gone'"):
        registry.unregister("gone")


def make_package(folder: Path, name: str, **modules: str) -> None:
    """Write a package whose modules share a registry called MEMBERS in its root."""
    (folder / name).mkdir()
    root = f"""
    from bridge.registry import Registry
    MEMBERS = Registry("thing", packages=({name!r},))
    """
    for module, code in {"__init__": root, **modules}.items():
        (folder / name / f"{module}.py").write_text(textwrap.dedent(code), encoding="utf-8")


def test_modules_of_a_package_are_imported_on_the_first_look_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    member = "from . import MEMBERS\nMEMBERS.register({0!r}, {0!r}, home=__name__)"
    make_package(tmp_path, "lazy_things", one=member.format("one"), two=member.format("two"))
    from lazy_things import MEMBERS

    assert "lazy_things.one" not in sys.modules
    assert MEMBERS.names() == ["one", "two"]
    assert MEMBERS.home("two") == "lazy_things.two"


def test_a_module_that_cannot_be_imported_is_not_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    make_package(tmp_path, "broken_things", first="raise ImportError('no such library')")
    from broken_things import MEMBERS

    for _ in range(2):  # the second look-up must not pass off half a registry as the whole
        with pytest.raises(ImportError, match="no such library"):
            MEMBERS.names()


def install_plug_in(folder: Path, code: str) -> None:
    """Lay out a distribution as pip would, with one entry point of the group ``demo.things``."""
    (folder / "their_things.py").write_text(textwrap.dedent(code), encoding="utf-8")
    information = folder / "their_things-2.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: their-things\nVersion: 2.0")
    (information / "entry_points.txt").write_text("[demo.things]\nextra = their_things\n")


def test_another_distribution_adds_members_by_an_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "their_things", raising=False)
    registry: Registry[str] = Registry("thing", group="demo.things")
    monkeypatch.setattr(sys.modules[__name__], "REGISTRY", registry, raising=False)
    install_plug_in(
        tmp_path,
        f"""
        import sys
        sys.modules[{__name__!r}].REGISTRY.register("theirs", "member", home=__name__)
        """,
    )
    assert registry.get("theirs") == "member"
    assert registry.home("theirs") == "their_things"


def test_a_broken_plug_in_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "their_things", raising=False)
    install_plug_in(tmp_path, "import no_such_library")
    registry: Registry[str] = Registry("thing", group="demo.things")
    for _ in range(2):
        with pytest.raises(RegistryError, match=r"their-things.*no_such_library"):
            registry.names()
