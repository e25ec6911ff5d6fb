"""One layer's drift in a folder of its own: the cut piece, golden inputs, and a script.

The script needs the runtime's library and NumPy, and nothing of ours.
"""
