"""The parts of client_app.py camera that decide: votes, tracks, cool-down, the outbox, names of topics."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from facewire.client.camera.events import Event
from facewire.client.camera.home_assistant import Topics, discovery
from facewire.client.camera.observer import Observer, Rules
from facewire.client.camera.outbox import Outbox, OutboxInUse
from facewire.client.camera.picture import Picture
from facewire.client.camera.saving import Folder
from facewire.client.camera.source import BadSource, parse_source
from facewire.client.camera.votes import REMEMBERED, VoteRules, Votes
from facewire.protocol.messages import Decision, EmbeddedFace, EmotionAnswer, Identified, IdentifiedFace, ImageSize

Box = tuple[float, float, float, float]
STEP = 0.2


def face(name: str | None, box: Box = (100, 100, 90, 90), decision: Decision | None = None) -> IdentifiedFace:
    emotion = EmotionAnswer("happy", 0.7, True, {"happy": 0.7, "sad": 0.3})
    decided = decision or ("unknown" if name is None else "match")
    return IdentifiedFace(
        box, ((0.0, 0.0),) * 5, 0.95, decision=decided, name=name, similarity=0.6, distance=0.9, threshold=0.5,
        margin=0.1, false_match=0.001, candidates=(), emotion=emotion,
    )  # fmt: skip


def scene() -> Picture:
    noise = np.random.default_rng(1).integers(0, 255, (360, 640, 3), dtype=np.uint8)
    done, data = cv2.imencode(".jpg", noise)
    assert done
    return Picture(data.tobytes())


class Stage:
    """An observer, and a clock. Each person has an embedding of their own."""

    def __init__(self, **rules: float) -> None:
        self.observer = Observer("hall", Rules(**rules), live=False)  # type: ignore[arg-type]
        self.now = 0.0
        self.picture = scene()
        self.embeds = 0

    def look(self, *seen: tuple[IdentifiedFace, int]) -> list[Event]:
        """A frame, of faces with the numbers of those whose they are."""
        self.now += STEP
        answer = Identified(tuple(face for face, _ in seen), ImageSize(640, 360), "m", {})

        def embed() -> tuple[EmbeddedFace, ...]:
            self.embeds += 1
            return tuple(
                EmbeddedFace(face.box, face.landmarks, 0.95, embedding=np.eye(8, dtype="<f4")[who].tobytes())
                for face, who in seen
            )

        return self.observer.see(answer, self.picture, embed, self.now, self.now)

    def looks(self, times: int, *seen: tuple[IdentifiedFace, int]) -> list[str]:
        return [said(event) for _ in range(times) for event in self.look(*seen)]


def said(event: Event) -> str:
    return f"{event.event} {event.name or ''}".strip()


def test_one_bad_frame_names_nobody() -> None:
    stage = Stage()
    assert stage.looks(1, (face("Bad Frame"), 1)) == []
    assert stage.looks(12, (face(None), 1)) == ["appeared", "stranger"]


def test_a_name_takes_three_frames_and_most_of_the_weight() -> None:
    votes = Votes(VoteRules())
    for _ in range(2):
        votes.add(face("Ada"), 0.9)
    assert votes.decided() is None
    votes.add(face("Ada"), 0.9)
    assert votes.decided() == "Ada"
    for _ in range(2):
        votes.add(face("Bob"), 0.95)
    assert votes.decided() is None, "three of five frames are not three fifths of the weight"


def test_small_and_blurred_frames_hardly_count() -> None:
    votes = Votes(VoteRules())
    for _ in range(8):
        votes.add(face("Bob"), 0.05)
    for _ in range(3):
        votes.add(face("Ada"), 0.9)
    assert votes.decided() == "Ada"
    blurred = cv2.GaussianBlur(np.random.default_rng(2).integers(0, 255, (300, 300, 3), dtype=np.uint8), (0, 0), 9)
    dull = Picture(cv2.imencode(".jpg", blurred)[1].tobytes())
    near, far = face("Ada", (50, 50, 100, 100)), face("Ada", (50, 50, 20, 20))
    assert dull.weight(near) < 0.3 < scene().weight(near)
    assert scene().weight(far) < scene().weight(near) / 3


def test_a_frame_that_cannot_say_stands_against_all() -> None:
    votes = Votes(VoteRules())
    for number in range(30):
        votes.add(face("Ada") if number % 2 else face(None, decision="ambiguous"), 0.9)
    assert votes.decided() is None


def test_a_track_remembers_so_many_frames() -> None:
    votes = Votes(VoteRules())
    for _ in range(1000):
        votes.add(face(None), 0.9)
    for _ in range(REMEMBERED):
        votes.add(face("Ada"), 0.9)
    assert votes.decided() == "Ada"


def test_emotion_is_smoothed() -> None:
    votes = Votes(VoteRules())
    for _ in range(10):
        votes.add(face("Ada"), 0.9)
    sad = EmotionAnswer("sad", 1.0, True, {"happy": 0.0, "sad": 1.0})
    votes.add(replace(face("Ada"), emotion=sad), 0.9)
    felt = votes.emotion()
    assert felt is not None and felt.label == "happy"
    assert felt.scores["sad"] == pytest.approx(0.8 * 0.3 + 0.2)


def test_everybody_appears_is_named_and_leaves_once() -> None:
    stage = Stage(gone_s=1.0)
    assert stage.looks(10, (face("Ada"), 1)) == ["appeared", "named Ada"]
    assert stage.looks(10) == ["left Ada"]


def test_out_of_sight_for_a_moment_is_the_same_visit() -> None:
    """Back at another place, the embedding tells that it is the same face."""
    stage = Stage(gone_s=2.0)
    assert stage.looks(12, (face(None), 1)) == ["appeared", "stranger"]
    assert stage.looks(3) == []
    assert stage.looks(12, (face(None, (400, 100, 90, 90)), 1)) == []
    assert stage.embeds == 2, "asked for once at the beginning, and once at the return"
    assert stage.looks(12, (face(None, (400, 100, 90, 90)), 1), (face(None), 2)) == ["appeared", "stranger"]


def test_nobody_is_said_again_within_the_cool_down() -> None:
    stage = Stage(gone_s=0.5, cooldown_s=5.0)
    ada, somebody = (face("Ada"), 1), (face(None, (400, 100, 90, 90)), 2)
    assert sorted(stage.looks(12, ada, somebody)) == ["appeared", "appeared", "named Ada", "stranger"]
    assert sorted(stage.looks(5)) == ["left", "left Ada"]
    assert stage.looks(12, ada, somebody) == ["appeared", "appeared"]
    assert stage.observer.situation(online=True).people == ("Ada",)
    assert stage.observer.situation(online=True).strangers == 1
    assert sorted(stage.looks(40)) == ["left", "left Ada"]
    assert sorted(stage.looks(12, ada, somebody)) == ["appeared", "appeared", "named Ada", "stranger"]


def test_people_who_cross_keep_their_names() -> None:
    stage = Stage()
    events: list[str] = []
    for step in range(25):
        x = 20.0 * step
        events += stage.looks(1, (face("Ada", (x, 100, 90, 90)), 1), (face("Bob", (480 - x, 105, 90, 90)), 2))
    assert sorted(events) == ["appeared", "appeared", "named Ada", "named Bob"]


def test_somebody_else_at_the_same_place_is_another_track() -> None:
    stage = Stage(gone_s=1.0)
    assert stage.looks(10, (face("Ada"), 1)) == ["appeared", "named Ada"]
    assert stage.looks(1) == []
    assert stage.looks(12, (face(None), 2)) == ["appeared", "left Ada", "stranger"]


def test_nothing_is_recorded_where_nothing_may_be() -> None:
    for record in (True, False):
        stage = Stage(record=record)
        crops = [event.crop for _ in range(10) for event in stage.look((face("Ada"), 1))]
        assert [crop is not None for crop in crops] == [record, record]


def test_the_outbox_is_bounded_and_survives(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    box = Outbox(path, most_events=3, most_bytes=100)
    assert [box.add(bytes([number])) for number in range(5)] == [0, 0, 0, 1, 1]
    with pytest.raises(OutboxInUse):
        Outbox(path)
    box.close()
    box = Outbox(path, most_events=3, most_bytes=100)
    assert (box.first() or (0, b""))[1] == b"\x02"
    assert box.add(b"x" * 99) == 2
    assert len(box) == 2
    box.done((box.first() or (0, b""))[0])
    box.close()
    assert sqlite3.connect(path).execute("SELECT count(*) FROM outbox").fetchone() == (1,)


def test_a_folder_keeps_the_newest_and_touches_no_file_of_others(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    folder = Folder(tmp_path, most=2)
    for number in range(4):
        folder.write(Event("named", "hall", 1000.0 + number, track=number, name="../../Ada / B", crop=b"jpeg"))
    assert (tmp_path / "a.jpg").exists()
    ours = sorted(path.name for path in tmp_path.iterdir() if path.name != "a.jpg")
    assert [name.rpartition("-")[2] for name in ours] == ["2.jpg", "2.json", "3.jpg", "3.json"]
    assert all("Ada_B" in name for name in ours)


@pytest.mark.parametrize(
    "text", ["ftp://h/x", "file:///etc/passwd", "rtsp://", "rtsp://h:x/", "concat:a|b", "nowhere.mp4"]
)
def test_what_is_no_source(text: str) -> None:
    with pytest.raises(BadSource):
        parse_source(text)


def test_a_password_is_never_shown() -> None:
    source = parse_source("rtsp://viewer:hush@[::1]:554/live?key=hush")
    assert source.shown == "rtsp://[::1]:554/live"
    assert source.where.count("hush") == 2
    assert parse_source("0").kind == "device"


def test_topics_of_different_cameras_differ() -> None:
    nodes = {Topics(name).node for name in ("door", "Front door", "Front-door", "前門", "後門", "a/#/+")}
    assert len(nodes) == 6
    assert not any(set(node) & set("/#+ ") for node in nodes)
    unique = [config["unique_id"] for _, config in discovery("door", pictures=True)]
    assert len(set(unique)) == len(unique) == 5
    assert not any("/image/" in topic for topic, _ in discovery("door", pictures=False))
