"""Lowerings in families; every module here registers its own."""
