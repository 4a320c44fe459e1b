"""The main job from nothing (make demo): sample gallery, real server, real clients, names and emotions.

Uses FaceNet where its weights are, or can be fetched; else dlib's network, which the package index carries.
"""

from __future__ import annotations

if __name__ == "__main__":
    from _launch import launch

    launch("facewire.scripts.demo")

import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from facewire.client import FaceClient
from facewire.protocol.arguments import Parser
from facewire.scripts.serving import ROOT, serving
from facewire.server.errors import StartError
from facewire.server.vision import deepface_models
from facewire.server.vision.models import DEFAULT_MODEL, FALLBACK_MODEL, model_card
from facewire.server.vision.opening import find_weights
from facewire.server.vision.weights import MissingWeights, WeightsFinder

PEOPLE = ROOT / "data" / "sample" / "people"
PROBES = ROOT / "data" / "sample" / "probes"
EXPECTED = ROOT / "data" / "sample" / "expected.json"
DB = ROOT / "data" / "demo.db"
DRAWN = ROOT / "data" / "demo"
SERVER_LOG = ROOT / "data" / "demo.log"
PATIENCE_S = 300  # a demo must also succeed where a picture takes half a minute: a machine busy with other work
PATIENT_SERVER = ("--max-wait", str(PATIENCE_S), "--request-timeout", str(PATIENCE_S))
INTERRUPTED = 130  # what a command ends with after Ctrl-C
_MOMENT_S = 2.0  # for that; then it has not been interrupted


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 when everything ran; the names themselves are judged by the tests, and counted here."""
    parser = Parser("demo.py", description=__doc__)
    parser.tell_version()
    parser.parse_args(argv)
    try:
        model, networks = choose_model()
        say(f"1. a gallery of twelve people who do not exist ({shown(PEOPLE)})")
        run("scripts/create_db.py", shown(PEOPLE), "--db", shown(DB), "--model", model, "--rebuild", *networks)
        say("2. the server")
        with serving(shown(DB), [*networks, *PATIENT_SERVER], SERVER_LOG) as port:
            print(f"   listening on 127.0.0.1:{port}   (its log: {shown(SERVER_LOG)})")
            say(f"3. a client: who is in {shown(PROBES)}, and how do they feel?")
            # 1 says that some picture had no match: the stranger's and the landscape have none, rightly
            asking = ["client_app.py", shown(PROBES), "--port", str(port), "--timeout", str(PATIENCE_S)]
            run(*asking, "--draw", shown(DRAWN), accepted=(0, 1))
            say("4. another client, through the library, compares with who was drawn")
            print(tally(port))
        print("   the server has stopped")
    except StartError as error:
        print(f"demo: {error}", file=sys.stderr)
        return error.exit_code
    except subprocess.CalledProcessError as error:
        print(f"demo: {' '.join(error.cmd[1:])} failed with exit code {error.returncode}", file=sys.stderr)
        return 3
    say("what to try next")
    for command, purpose in what_next(model):
        print(f"   {command}   # {purpose}")
    print(f"   the probes with boxes and names drawn on them are in {shown(DRAWN)}/")
    return 0


def what_next(model: str) -> list[tuple[str, str]]:
    """Commands for a gallery of one's own, with the networks that have just done the job, and what each is for."""
    python = Path(sys.executable)
    python = python.relative_to(ROOT) if python.is_relative_to(ROOT) else python
    detector = " --detector dlib" if model == FALLBACK_MODEL else ""
    named = f" --model {model}" if model != DEFAULT_MODEL else ""
    return [
        (f"{python} scripts/create_db.py FOLDER{named}{detector}", "one sub-folder of pictures a person"),
        (f"{python} server_app.py --port 5050{detector}", "serves data/facialdb.db"),
        (f"{python} client_app.py PICTURE", "who is it?"),
    ]


def choose_model() -> tuple[str, list[str]]:
    """FaceNet if its weights can be had, else dlib's networks, installed for it; and the flags that say so.

    Raises CalledProcessError, and StartError where the weights are there and can't be used.
    """
    card = model_card(DEFAULT_MODEL)
    try:
        find_weights(card, WeightsFinder(None, deepface_models.download))
    except MissingWeights as missing:
        say(f"FaceNet's weights ({missing.file}) can't be reached from here, so dlib's network does the job")
        offline = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", "requirements-offline.txt")
        run(*offline)
        return FALLBACK_MODEL, ["--detector", "dlib", "--no-download"]
    return card.name, []


def tally(port: int) -> str:
    """How many probes were answered with exactly the people drawn in them."""
    expected: dict[str, list[str | None]] = json.loads(EXPECTED.read_text(encoding="utf-8"))
    right = 0
    with FaceClient("127.0.0.1", port, timeout=PATIENCE_S) as client:
        for file, names in expected.items():
            answer = client.identify((PROBES / file).read_bytes())
            found = [face.name for face in answer.faces]
            right += sorted(map(str, found)) == sorted(map(str, names))
    return (
        f"   {right} of {len(expected)} pictures: exactly the people drawn, nobody for the stranger and the landscape"
    )


def run(*command: str, accepted: Sequence[int] = (0,)) -> None:
    """A Python command, its output shown. Raises CalledProcessError for other exit codes, SystemExit on Ctrl-C where
    the command has said that it stopped."""
    sys.stdout.flush()
    with subprocess.Popen([sys.executable, *command], cwd=ROOT) as child:
        try:
            code = child.wait()
        except KeyboardInterrupt:  # a terminal's Ctrl-C reaches the command, too
            if _ended(child) == INTERRUPTED:
                raise SystemExit(INTERRUPTED) from None
            raise
    if code not in accepted:
        raise subprocess.CalledProcessError(code, child.args)


def _ended(child: subprocess.Popen[bytes]) -> int:
    """How it ended by itself, or was ended."""
    with suppress(subprocess.TimeoutExpired):
        return child.wait(_MOMENT_S)
    child.terminate()
    return child.wait()


def shown(path: Path) -> str:
    """The path as somebody in the project's folder would type it."""
    return str(path.relative_to(ROOT))


def say(line: str) -> None:
    """A heading."""
    print(f"\n== {line}", flush=True)
