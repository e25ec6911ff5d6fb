"""The command line; frameworks, and even numpy, are imported by the commands that need them."""

from .app import main

__all__ = ["main"]
