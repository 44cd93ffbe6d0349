"""What Python itself imports when it starts, where this folder is on its path: Ray Serve finds no
pandas while it is imported, as in the default image, which has none.

Ray Serve imports pandas into each of its processes, for answers that are data frames: 0.3 s of CPU
and 70 MB that nothing here asks for. What scikit-learn needs imports pandas later, as ever.
"""

import sys
from typing import Any


class WithoutPandas:
    """A finder that refuses pandas to the module of Ray Serve that has a use for it."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Raises ModuleNotFoundError while that module is not complete; finds nothing itself."""
        asking = sys.modules.get("ray.serve._private.utils")
        if name == "pandas" and asking is not None and not hasattr(asking, "serve_encoders"):
            raise ModuleNotFoundError("pandas is kept from Ray Serve, see tests/support/lean")


sys.meta_path.insert(0, WithoutPandas())  # type: ignore[arg-type]
