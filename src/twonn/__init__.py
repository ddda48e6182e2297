"""Gradient descent on a two-neuron ReLU network with two training points, stepped exactly.

The instrument for one question: how slowly does gradient descent find the robust classifier? See
Smorodinsky, Gimpleson, Safran (2026), arXiv 2603.02095.

The public names are those of ``__init__.pyi``. Each is loaded when it is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
