"""What a process keeps of memory that it has freed."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

# Pictures of 48 to 640 pixels a side come and go, and of each something small stays, as an answer's text or a page of
# SQLite does. Prints how many bytes of the heap are free, and not returned.
PROGRAM = """
import ctypes
from facewire.protocol import memory

class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
                ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keep")]

memory.give_back()
stays = []
for round in range(40):
    pictures = []
    for side in range(208, 640, 48):
        pictures.append(bytearray(3 * side * side))
        stays.append(bytes(2000))
    del pictures
mallinfo = ctypes.CDLL(None).mallinfo2
mallinfo.restype = Info
print(mallinfo().fordblks)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="not glibc 2.33 or later")
def test_pictures_that_are_gone_leave_no_gaps_between_what_stays() -> None:
    """A few pages at most. As glibc does it by itself, or with a mebibyte as the limit, it is megabytes."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60)
    assert int(done.stdout) < 1024 * 1024
