"""Hops: one conversion per file, each registering itself when it is imported."""

if __name__ != "bridge.converters":
    raise ImportError(
        f"{__name__!r} is not a package of its own: import bridge.converters (docs/adr/0001)"
    )
