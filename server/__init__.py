"""The server. Importing it tells OpenBLAS, before NumPy loads it, to let its threads sleep between products.

They wait for more work in a loop of some 25 ms. A face is held against the cohort by one small product, so a core was
kept busy by nothing while FaceNet needed it: 46 ms of processor time a product instead of 1, and half the answers a
second (docs/decisions/0009).
"""

import os

os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")  # its smallest: two to the power of 4 cycles
