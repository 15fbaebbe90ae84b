"""nettriage: who scans, who relays, and what to do about it, from the packets of a mirror port."""

import os

__version__ = "0.1.0"

# Before anything imports NumPy: its BLAS would start threads, which would escape the drop of privileges
# (capset and prctl are per thread), and columns need no BLAS.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
