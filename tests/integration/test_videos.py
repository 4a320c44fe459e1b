"""Who is in a video, and when: over the wire, from real files, with real decoding."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from facewire.client import FaceClient, ServerRefused
from facewire.client.cli import main as client_app
from facewire.protocol.errors import ErrorCode
from facewire.protocol.framing import DEFAULT_MAX_FRAME
from facewire.protocol.videos import IdentifyVideo, VideoIdentified
from facewire.server.access.sight import asked_within
from facewire.server.access.tokens import Token
from facewire.server.app import compose, open_videos
from facewire.server.gallery.sqlite import SqliteGallery
from facewire.server.tcp.dispatch import Dispatcher
from facewire.server.tcp.listener import Listener
from tests.support.synthetic_engine import SyntheticEngine, portrait
from tests.support.synthetic_server import MODEL
from tests.support.videos import LEFT, RIGHT, encoded, scene, visit


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    engine = SyntheticEngine(model=MODEL)
    db = tmp_path_factory.mktemp("videos") / "faces.db"
    with ExitStack() as open_things:
        gallery = open_things.enter_context(SqliteGallery.create(db, engine.spec))
        recognition = compose(engine, gallery, 0.01, runtime="none")
        videos = open_videos(recognition, open_things)
        listener = Listener(Dispatcher(recognition, videos=videos), "127.0.0.1", 0)
        listener.start()
        open_things.callback(listener.stop)
        with FaceClient(*listener.address) as client:
            client.enrol("Ada", portrait(5))
            client.enrol("Bob", portrait(21))
        yield listener.address


@pytest.fixture
def client(address: tuple[str, int]) -> Iterator[FaceClient]:
    with FaceClient(*address) as connected:
        yield connected


def seen(answer: VideoIdentified) -> list[tuple[str | None, tuple[tuple[float, float], ...]]]:
    return [(person.name, person.seen) for person in answer.people]


def test_everybody_is_named_once_with_their_seconds(client: FaceClient) -> None:
    heard: list[tuple[int, int]] = []
    answer = client.identify_video(visit(), on_progress=lambda news: heard.append((news.done, news.total)))
    assert seen(answer) == [("Ada", ((0.0, 4.0),)), (None, ((2.0, 6.0),))]
    ada, stranger = answer.people
    assert (ada.decision, stranger.decision) == ("match", "unknown")
    assert ada.best.box == pytest.approx(LEFT, abs=2)
    assert stranger.best.box == pytest.approx(RIGHT, abs=2)
    assert ada.best.at < 4.0
    assert ada.best.picture.startswith(b"\xff\xd8")
    assert (answer.seconds, answer.image.width, answer.image.height, answer.frames) == (6.0, 192, 128, 12)
    assert all(done <= total in (0, 6) for done, total in heard)  # 0 while it waits


def test_who_comes_back_is_one_person_seen_twice(client: FaceClient) -> None:
    away = scene([], 3, shade=1)
    answer = client.identify_video(encoded([*scene([(5, LEFT)], 2), *away, *scene([(5, RIGHT)], 1, shade=2)]))
    assert seen(answer) == [("Ada", ((0.0, 2.0), (5.0, 6.0)))]


def test_a_quicktime_film_held_upright(client: FaceClient) -> None:
    """What phones write: a film that lies, and the quarter turn with which to show it."""
    answer = client.identify_video(encoded(scene([(5, LEFT)], 1), form="mov", turned=True))
    assert (answer.image.width, answer.image.height) == (128, 192)
    x, y, w, h = LEFT
    assert answer.people[0].best.box in [
        pytest.approx(box, abs=2) for box in ((y, 192 - x - w, h, w), (128 - y - h, x, h, w))
    ]


def test_a_video_without_faces(client: FaceClient) -> None:
    answer = client.identify_video(encoded(scene([], 1)))
    assert answer.people == ()
    assert answer.frames == 2


@pytest.mark.parametrize("fault", ["picture", "nothing", "text", "sound", "cut off", "header only"])
def test_what_is_no_video_is_refused_and_the_next_one_is_not(client: FaceClient, fault: str) -> None:
    whole = encoded(scene([(5, LEFT)], 3), faststart=True)
    data = {
        "picture": portrait(5),
        "nothing": b"",
        "text": b"\0\0\0\x18ftypmp42, he said" * 9,
        "sound": sound(),
        "cut off": whole[: len(whole) * 2 // 3],
        "header only": whole[:900],
    }[fault]
    with pytest.raises(ServerRefused) as refused:
        client.identify_video(data)
    assert refused.value.code is ErrorCode.INVALID_IMAGE
    assert len(client.identify_video(encoded(scene([(5, LEFT)], 1))).people) == 1


def test_a_token_that_sees_one_person_hears_of_nobody_else(client: FaceClient) -> None:
    token = Token("bob's", "", people=frozenset({"Bob"}))
    body, within_sight = asked_within(IdentifyVideo(encoded(scene([(5, LEFT), (21, RIGHT)], 1))), token)
    assert isinstance(body, IdentifyVideo)
    whole = client.ask(body)
    assert sorted(person.name or "" for person in whole.people) == ["Ada", "Bob"]
    seen = within_sight(whole)
    assert isinstance(seen, VideoIdentified)
    for person, as_seen in zip(whole.people, seen.people, strict=True):
        assert {candidate.name for candidate in as_seen.candidates} <= {"Bob"}
        expected = ("match", "Bob") if person.name == "Bob" else ("unknown", None)
        assert (as_seen.decision, as_seen.name) == expected
        assert as_seen.seen == person.seen


def test_where_a_picture_is_wanted_a_video_is_called_one(client: FaceClient) -> None:
    with pytest.raises(ServerRefused, match="a video, where a picture is wanted"):
        client.identify(encoded(scene([(5, LEFT)], 1)))


def test_pictures_are_answered_while_videos_wait(client: FaceClient, address: tuple[str, int]) -> None:
    """More videos than may wait: the last are told so, and nobody's picture waits for any of them."""
    video = encoded(scene([(5, LEFT)], 8))
    outcomes: list[object] = []

    def ask() -> None:
        with FaceClient(*address) as other:
            try:
                outcomes.append(other.identify_video(video))
            except ServerRefused as error:
                outcomes.append(error.code)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    answered = 0
    while any(thread.is_alive() for thread in threads):
        assert client.identify(portrait(5)).faces[0].name == "Ada"
        answered += 1
    assert answered > 1
    assert {type(outcome) for outcome in outcomes} == {VideoIdentified, ErrorCode}
    assert ErrorCode.BUSY in outcomes


def test_the_command_says_who_is_when(
    address: tuple[str, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, faces = tmp_path / "party.mp4", tmp_path / "faces"
    path.write_bytes(visit())
    flags = ["--host", address[0], "--port", str(address[1])]
    assert client_app([*flags, str(path), "--draw", str(faces)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{path}: 2 people (0:06.0 long, 12 frames looked at)"
    assert lines[1].split()[1] == "Ada"
    assert lines[1].endswith("0:00.0-0:04.0")
    assert lines[2].split()[1] == "unknown"
    assert lines[2].endswith("0:02.0-0:06.0")
    assert sorted(each.name for each in faces.iterdir()) == ["party.mp4-1.jpg", "party.mp4-2.jpg"]
    large = tmp_path / "large.mp4"
    with large.open("wb") as file:
        file.truncate(DEFAULT_MAX_FRAME + 1)
    assert client_app([*flags, str(large), str(path), "--json"]) == 3
    said = capsys.readouterr().out.splitlines()
    assert "make it smaller first" in said[0]
    assert '"name": "Ada"' in said[1]


def sound() -> bytes:
    import io

    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
        frame.sample_rate = 8000
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()
