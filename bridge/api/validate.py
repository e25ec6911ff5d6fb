"""``validate``."""


def validate() -> None: ...
