"""Compatibility: what of an artifact runs where, since which release, in what time and memory.

One module per question; ``assessment`` asks them all.
"""
