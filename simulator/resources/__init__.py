"""What Stripe has, a file for each noun. A new file here is found by itself: its routes announce
themselves.
"""

import importlib
import pkgutil


def load() -> None:
    """Imports every resource, so that its routes are known."""
    for module in pkgutil.iter_modules(__path__, __name__ + "."):
        importlib.import_module(module.name)
