"""Runtimes, metrics and drift: what runs an artifact and says how far it is from its source."""

if __name__ != "bridge.validators":
    raise ImportError(
        f"{__name__!r} is not a package of its own: import bridge.validators (docs/adr/0001)"
    )
