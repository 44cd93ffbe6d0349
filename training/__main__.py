"""`python -m training`.

Threads are pinned before numpy is imported: OpenMP on busy cores is 15 times slower.
"""

import os
import sys

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

# After the pinning, on purpose.
from serve_app.errors import SluiceError  # noqa: E402

try:
    # The commands are made from the contracts, any of which may be wrong.
    from training.cli import main
except SluiceError as error:
    sys.exit(f"Refused: {error}")

main()
