"""The runtimes, one per file; each registers itself when it is imported."""
