"""The server. Importing it tells OpenBLAS, before NumPy loads it, to work in the thread that calls it.

Products here are small, and callers many: a face is held against the cohort by one, and searched for by another. With
threads of its own OpenBLAS spends more processor time on handing them out and waiting for them than they save, just
when FaceNet wants every core: 10 ms a picture (docs/decisions/0009).
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
