"""create_db with the synthetic engine, for a test to stop: says `at N` and waits on stdin once N faces are embedded.

python -m tests.support.stopping_create_db N FOLDER --db DB ...
"""

from __future__ import annotations

import signal
import sys

from facewire.server.maintenance.create_db import main
from tests.support.synthetic_engine import SyntheticEngine


def run() -> int:
    # A shell's background jobs ignore Ctrl-C and hand that on; this process stands for one in the foreground.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    stop_at = int(sys.argv[1])

    def stop(embedded: int) -> None:
        if embedded >= stop_at:
            print("at", embedded, flush=True)
            sys.stdin.readline()

    return main(sys.argv[2:], open_engine=lambda choice: SyntheticEngine(model=choice.model, before_embedding=stop))


if __name__ == "__main__":
    sys.exit(run())
