"""The command line. Frameworks, and even numpy, are imported only by the commands that need them."""

from .app import main

__all__ = ["main"]
