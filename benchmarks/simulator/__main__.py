"""`python -m benchmarks.simulator`, which is `make simulate`."""

import warnings

# Ray's own models warn when they are imported.
warnings.simplefilter("ignore")

from benchmarks.simulator.cli import main  # noqa: E402

if __name__ == "__main__":
    main()
