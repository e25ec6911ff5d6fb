"""Artifacts cut apart at inner tensors, so that each piece runs on inputs of its own.

The readers of a cut tensor read a new input instead, and what makes it stays to be shown. One run
of the native runtime then gives every piece's own error. One module per format.
"""
