"""`client_app.py VIDEO...`: who is in these videos, and in which seconds?"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from facewire.client.bar import Bar
from facewire.client.commands.common import EXIT_ALL_MATCHED, EXIT_FAILED, EXIT_SOME_UNMATCHED, complain
from facewire.client.errors import ServerRefused
from facewire.client.face_client import FaceClient
from facewire.client.pictures import TooManyBytes, read_video
from facewire.client.report import describe_video
from facewire.protocol.schema import to_plain
from facewire.protocol.videos import VideoIdentified


def ask_about_videos(paths: list[Path], client: FaceClient, arguments: argparse.Namespace) -> int:
    """Asks about one after the other, and prints; gives the exit code."""
    code = EXIT_ALL_MATCHED
    for path in paths:
        try:
            video = read_video(path)
        except (OSError, TooManyBytes) as error:
            said = f"can't read it: {error.strerror}" if isinstance(error, OSError) else str(error)
            code = max(code, _failed(path, "unreadable", said, arguments))
            continue
        try:
            with Bar(path.name, "seconds") as bar:
                answer = client.identify_video(
                    video,
                    k=arguments.k,
                    on_progress=lambda news, bar=bar: bar.at(news.done, news.total),  # type: ignore[misc]
                )
        except ServerRefused as error:
            code = max(code, _failed(path, str(error.code), error.message, arguments))
            continue
        code = max(code, _answered(path, answer, arguments))
    return code


def _answered(path: Path, answer: VideoIdentified, arguments: argparse.Namespace) -> int:
    if arguments.json:
        print(json.dumps({"file": str(path), **_without_pictures(answer)}), flush=True)
    else:
        print("\n".join(describe_video(str(path), answer, candidates=arguments.k > 1)), flush=True)
    code = EXIT_ALL_MATCHED
    if not any(person.decision == "match" for person in answer.people):
        code = EXIT_SOME_UNMATCHED
    if arguments.draw is not None:
        try:
            _keep_faces(path, answer, arguments.draw)
        except OSError as error:
            complain(f"{path}: its faces can't be written: {error.strerror}", of="")
            return EXIT_FAILED
    return code


def _keep_faces(path: Path, answer: VideoIdentified, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, person in enumerate(answer.people, 1):
        (folder / f"{path.name}-{number}.jpg").write_bytes(person.best.picture)


def _without_pictures(answer: VideoIdentified) -> dict[str, Any]:
    plain: dict[str, Any] = to_plain(answer)
    for person in plain["people"]:
        del person["best"]["picture"]
    return plain


def _failed(path: Path, code: str, message: str, arguments: argparse.Namespace) -> int:
    if arguments.json:
        print(json.dumps({"file": str(path), "error": {"code": code, "message": message}}), flush=True)
    else:
        complain(f"{path}: {message}", of="")
    return EXIT_FAILED
