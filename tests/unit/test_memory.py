"""What a process keeps of memory that it has freed."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import threading

import pytest

from facewire.server.heap import Trimming
from tests.support.server_process import ROOT
from tests.support.waiting import PATIENCE_S

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

# Smaller ones share a heap with what stays. Prints how many bytes the process has before and after it is trimmed.
TRIMMED = """
import os
from facewire.protocol import memory
from facewire.server.heap import Trimming
from facewire.server.processes import memory_of
from tests.support.waiting import eventually

memory.give_back()
stays, files = [], []
for number in range(400):
    files.append(bytearray(100_000))
    stays.append(bytes(2000))
del files
before = memory_of(os.getpid())
trimming = Trimming(every_s=0.01)
eventually(lambda: memory_of(os.getpid()) < before - 20_000_000)
trimming.close()
print(before, memory_of(os.getpid()))
"""


def test_gaps_that_are_left_are_given_back_in_time() -> None:
    if not hasattr(ctypes.CDLL(None), "malloc_trim"):
        pytest.skip("not glibc")
    command = [sys.executable, "-c", TRIMMED]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE_S, cwd=ROOT)
    before, after = map(int, done.stdout.split())
    assert after < before - 20_000_000  # of 40 MB


def test_the_thread_ends_when_it_is_closed() -> None:
    trimming = Trimming()
    trimming.close()
    trimming.close()
    assert "facewire-heap" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="not glibc 2.33 or later")
def test_pictures_that_are_gone_leave_no_gaps_between_what_stays() -> None:
    """A few pages at most. As glibc does it by itself, or with a mebibyte as the limit, it is megabytes."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60)
    assert int(done.stdout) < 1024 * 1024
