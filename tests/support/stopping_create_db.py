"""create_db with the synthetic engine, for tests that stop it: prints `at N` once N faces are embedded, then waits on
stdin.

python -m tests.support.stopping_create_db N FOLDER --db DB ...
"""

from __future__ import annotations

import signal
import sys

from facewire.server.maintenance.create_db import main
from tests.support.synthetic_engine import SyntheticEngine


def run() -> int:
    # Background jobs of a shell ignore Ctrl-C, and children inherit that; this process must act like a foreground job.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    stop_at = int(sys.argv[1])

    def stop(embedded: int) -> None:
        if embedded >= stop_at:
            print("at", embedded, flush=True)
            sys.stdin.readline()

    return main(sys.argv[2:], open_engine=lambda choice: SyntheticEngine(model=choice.model, before_embedding=stop))


if __name__ == "__main__":
    sys.exit(run())
