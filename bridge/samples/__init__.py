"""The inputs that a model is captured with and compared on: declared, drawn or real.

``declaring`` reads what the user says of an input, ``ranges`` holds what values it can have (the
example tells, or ``inferring`` reads it from a captured program), ``drawing`` draws from that, and
``reading``, ``images`` and ``iterables`` bring real ones.
"""

from .declaring import InputSpec
from .drawing import draw_like, draw_samples, more, vary
from .images import ImageOptions, read_images
from .iterables import read_items
from .ranges import Domain, Edge, InputRange, Kind, domain_of
from .reading import EXPECTED, LABELS, read_arrays, read_samples
from .stack import Arrays, Samples

__all__ = [
    "EXPECTED",
    "LABELS",
    "Arrays",
    "Domain",
    "Edge",
    "ImageOptions",
    "InputRange",
    "InputSpec",
    "Kind",
    "Samples",
    "domain_of",
    "draw_like",
    "draw_samples",
    "more",
    "read_arrays",
    "read_images",
    "read_items",
    "read_samples",
    "vary",
]
