"""One registry class for hops, runtimes, lowerings and metrics."""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

from .errors import RegistryError

T = TypeVar("T")


class Registry(Generic[T]):
    """Named things of one kind, from our own modules and from other people's packages.

    Nothing lists the members: each registers itself when its module is imported, and every module
    of ``packages`` and every entry point of ``group`` is imported on the first look-up.

    Args:
        kind: What is registered, for messages: ``"hop"``.
        packages: Packages of ours whose direct modules register members.
        group: Entry point group under which other distributions name modules that do.
    """

    def __init__(self, kind: str, *, packages: Sequence[str] = (), group: str = "") -> None:
        self.kind = kind
        self._packages = tuple(packages)
        self._group = group
        self._members: dict[str, T] = {}
        self._homes: dict[str, str] = {}
        self._loaded = False

    def register(self, name: str, member: T, *, home: str) -> None:
        """Add a member.

        Args:
            name: Its unique name.
            member: The thing itself.
            home: Module that defines it, for messages.

        Raises:
            RegistryError: The name is taken; both places are named.
        """
        if name in self._members:
            raise RegistryError(
                f"two {self.kind}s are called {name!r}: one in {self._homes[name]}, one in {home}",
                hint=f"rename one {self.kind}",
            )
        self._members[name] = member
        self._homes[name] = home

    def adder(self, name: str) -> Callable[[T], T]:
        """Return a decorator that registers what it decorates under ``name``."""

        def add(member: T) -> T:
            self.register(name, member, home=getattr(member, "__module__", "?"))
            return member

        return add

    def unregister(self, name: str) -> None:
        """Remove a member, for a plug-in that goes away; unknown names raise ``RegistryError``."""
        self.get(name)
        del self._members[name]
        del self._homes[name]

    def get(self, name: str) -> T:
        """Look a member up.

        Raises:
            RegistryError: Nobody registered the name; near matches are listed.
        """
        self._load()
        try:
            return self._members[name]
        except KeyError:
            near = difflib.get_close_matches(name, self._members, n=3, cutoff=0.5)
            raise RegistryError(
                f"there is no {self.kind} {name!r}",
                hint="did you mean " + " or ".join(near) + "?"
                if near
                else f"known: {', '.join(sorted(self._members)) or 'none'}",
            ) from None

    def home(self, name: str) -> str:
        """Return the module that registered ``name``."""
        self.get(name)
        return self._homes[name]

    def __iter__(self) -> Iterator[T]:
        self._load()
        return iter(list(self._members.values()))

    def members(self) -> Mapping[str, T]:
        """Return all members by name, for look-ups by the thousand."""
        self._load()
        return self._members

    def names(self) -> list[str]:
        """Return all registered names, sorted."""
        self._load()
        return sorted(self._members)

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True  # from here on: what is being imported may look others up
        try:
            for package in self._packages:
                folder = importlib.import_module(package)
                for module in pkgutil.iter_modules(folder.__path__):
                    importlib.import_module(f"{package}.{module.name}")
            for entry in importlib.metadata.entry_points(group=self._group) if self._group else ():
                _load_plug_in(entry)
        except BaseException:
            self._loaded = False  # half a registry must not pass for the whole one
            self._forget_unfinished()
            raise

    def _forget_unfinished(self) -> None:
        """Drop what a module registered whose import failed: the next attempt runs it again."""
        for name, home in list(self._homes.items()):
            if home not in sys.modules:
                del self._members[name], self._homes[name]


def _load_plug_in(entry: importlib.metadata.EntryPoint) -> None:
    try:
        entry.load()
    except RegistryError:
        raise
    except Exception as error:
        whose = entry.dist.name if entry.dist else "an installed package"
        raise RegistryError(
            f"the plug-in {entry.name!r} of {whose} cannot be loaded: "
            f"{type(error).__name__}: {error}",
            hint=f"mend or uninstall {whose}",
        ) from error
