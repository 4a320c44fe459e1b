"""The server and the web page in one command (make web): on a database of yours, or on the synthetic people."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":  # started by its path, Python knows scripts/ but not the project around it
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from scripts.demo import DB as DEMO_DB
from scripts.demo import PEOPLE, choose_model, run, say, shown
from scripts.serving import ROOT, serving
from server.errors import StartError

_LOG = ROOT / "data" / "web.log"


def main() -> int:
    """Serves until Ctrl-C; gives the exit code."""
    parser = argparse.ArgumentParser("web.py", description=__doc__)
    parser.add_argument("--db", type=Path, help="the database to serve (default: the synthetic people, data/demo.db)")
    parser.add_argument("--port", default="8000", help="of the page (default: %(default)s; 0 picks a free one)")
    args = parser.parse_args()
    try:
        database, networks = (str(args.db), []) if args.db is not None and args.db.exists() else _demo()
        say(f"the server, with {database} (its log: {shown(_LOG)})")
        with serving(database, networks, _LOG) as port:
            say("the page")
            command = [sys.executable, "web_app.py", "--server", f"127.0.0.1:{port}", "--port", args.port]
            return subprocess.run(command, cwd=ROOT, check=False).returncode
    except StartError as error:
        print(f"web.py: {error}", file=sys.stderr)
        return error.exit_code
    except subprocess.CalledProcessError as error:
        return int(error.returncode)
    except KeyboardInterrupt:
        return 0


def _demo() -> tuple[str, list[str]]:
    """The gallery of the synthetic people, built where it is missing, and the flags of the networks that it needs."""
    model, networks = choose_model()
    if not DEMO_DB.exists():
        say(f"a gallery of twelve people who do not exist ({shown(PEOPLE)})")
        run("scripts/create_db.py", shown(PEOPLE), "--db", shown(DEMO_DB), "--model", model, *networks)
    return shown(DEMO_DB), networks


if __name__ == "__main__":
    sys.exit(main())
