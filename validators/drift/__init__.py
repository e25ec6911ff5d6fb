"""Drift of every layer: what it introduces on its own, and what has accumulated up to it.

``plan`` says which layers are measured together, ``noise`` how far legitimate implementations are
off, ``measuring`` runs and measures, ``records`` keeps what was measured, ``judging`` makes rows.
"""
