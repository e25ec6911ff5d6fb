"""Quantized files: what their integers mean, and how coarse a good file of the kind may be.

Runtimes hand out what is stored. ``Run`` (running.py) turns it into real values where it is read,
and what is fed to an artifact into integers where it is handed over; nothing else need know.
"""
