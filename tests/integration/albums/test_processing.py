"""Looking for faces: who hears of it, and what may happen meanwhile."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from pathlib import Path

from facewire.client import FaceClient, ServerRefused
from facewire.client.album_client import AlbumClient
from facewire.protocol.errors import ErrorCode
from facewire.protocol.messages import Progress
from tests.support.albums import album_service, serving_albums
from tests.support.synthetic_engine import SyntheticEngine, portrait
from tests.support.trip import ADA
from tests.support.waiting import PATIENCE_S, eventually


def test_everybody_who_asks_hears_of_it_and_it_is_done_once(tmp_path: Path) -> None:
    begin = threading.Event()
    engine = SyntheticEngine(model="Facenet512", before_embedding=lambda _: begin.wait(PATIENCE_S))
    heard: dict[str, list[Progress]] = {"one": [], "other": []}

    def follow(name: str, client: FaceClient) -> None:
        client.albums.process("Trip", on_progress=lambda news: tell(name, news))

    def tell(name: str, news: Progress) -> None:
        heard[name].append(news)
        if all(heard.values()):
            begin.set()

    with (
        album_service(tmp_path, engine=engine) as service,
        serving_albums(service) as one,
        serving_albums(service) as other,
    ):
        one.albums.create("Trip")
        for number in range(4):
            one.albums.add("Trip", f"{number}.png", portrait(number))
        clients = (("one", one), ("other", other))
        threads = [threading.Thread(target=follow, args=pair) for pair in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive()
        assert all(heard.values())
        assert heard["one"][0].details["stage"] in ("waiting", "faces")
        assert one.albums.status("Trip").waiting == 0
    assert engine.looked_at == 4


def test_without_waiting(albums: AlbumClient) -> None:
    albums.create("Trip")
    albums.add("Trip", "a", portrait(ADA))
    albums.process("Trip", wait=False)
    assert albums.process("Trip").waiting == 0


def test_an_album_deleted_while_it_is_processed(tmp_path: Path) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def hold(_: int) -> None:
        reached.set()
        go_on.wait(PATIENCE_S)

    engine = SyntheticEngine(model="Facenet512", before_embedding=hold)
    with album_service(tmp_path, engine=engine) as service, serving_albums(service) as client:
        client.albums.create("Trip")
        client.albums.add("Trip", "a", portrait(ADA))
        outcome: list[ServerRefused] = []

        def process() -> None:
            try:
                client.albums.process("Trip")
            except ServerRefused as error:
                outcome.append(error)

        thread = threading.Thread(target=process)
        thread.start()
        assert reached.wait(PATIENCE_S)
        client.albums.delete("Trip")
        go_on.set()
        thread.join(PATIENCE_S)
        assert [error.code for error in outcome] == [ErrorCode.UNKNOWN_ALBUM]
        assert client.albums.list().albums == ()


def test_a_server_that_stops_says_so_and_the_next_one_goes_on(tmp_path: Path) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def hold(_: int) -> None:
        reached.set()
        go_on.wait(PATIENCE_S)

    engine = SyntheticEngine(model="Facenet512", before_embedding=hold)
    outcome: list[ServerRefused] = []

    def process(client: FaceClient) -> None:
        try:
            client.albums.process("Trip")
        except ServerRefused as error:
            outcome.append(error)

    with album_service(tmp_path, engine=engine) as service, contextlib.ExitStack() as stack:
        client = stack.enter_context(serving_albums(service))
        client.albums.create("Trip")
        for number in range(5):
            client.albums.add("Trip", f"{number}", portrait(number))
        thread = threading.Thread(target=process, args=(client,))
        thread.start()
        assert reached.wait(PATIENCE_S)
        stack.close()
        thread.join(PATIENCE_S)
        assert [error.code for error in outcome] == [ErrorCode.BUSY]
        go_on.set()
    engine = SyntheticEngine(model="Facenet512")
    with album_service(tmp_path, engine=engine) as service, serving_albums(service) as client:
        assert client.albums.process("Trip").people == 5
    assert engine.looked_at < 5


def test_people_of_photos_that_arrive_slowly(albums: AlbumClient) -> None:
    """They appear from the first photo on, keep the names they are given, and end as if all had come at once."""
    albums.create("Trip")
    photos = [(f"{number} {shade}.png", portrait(number, shade=shade)) for shade in range(3) for number in (5, 22)]
    for name, data in photos[:2]:
        albums.add("Trip", name, data)
        albums.process("Trip", provisional=True)
    # At once, or when enough time has passed since the last of these
    assert eventually(lambda: albums.process("Trip", provisional=True).people == 2)
    ada = albums.search_samples("Trip", [photos[0][1]]).photos[0].matches[0].person
    assert ada is not None
    albums.label("Trip", ada, "Ada")
    for name, data in photos[2:]:
        albums.add("Trip", name, data)
        assert albums.process("Trip", provisional=True).waiting == 0
    assert albums.process("Trip").people == 2
    assert {(one.name, one.faces) for one in albums.all_people("Trip")} == {("Ada", 3), (None, 3)}
    albums.undo("Trip")
    assert albums.process("Trip").people == 2


def test_people_appear_while_photos_are_processed(tmp_path: Path) -> None:
    seen = threading.Event()

    def slow(embedded: int) -> None:
        if embedded == 1:
            seen.wait(2.1)  # the first people are shown after 2 s
        elif embedded == 2:
            assert seen.wait(PATIENCE_S)

    engine = SyntheticEngine(model="Facenet512", before_embedding=slow)
    with album_service(tmp_path, engine=engine) as service, serving_albums(service) as client:
        client.albums.create("Trip")
        for number in (5, 22, 41):
            client.albums.add("Trip", f"{number}.png", portrait(number))
        client.albums.process("Trip", wait=False)
        assert eventually(lambda: client.albums.status("Trip").people == 2)
        info = client.albums.status("Trip")
        assert (info.processing, info.processed, info.waiting) == (True, 2, 1)
        first = {one.person for one in client.albums.all_people("Trip")}
        seen.set()
        info = client.albums.process("Trip")
        assert (info.people, info.processed) == (3, 0)
        assert {one.person for one in client.albums.all_people("Trip")} > first  # a link to somebody stays good
        (face, *_) = client.albums.all_faces("Trip")
    with contextlib.closing(sqlite3.connect(tmp_path / "albums" / "albums.db")) as db:
        sharp = db.execute("SELECT sharpness FROM detections WHERE id = ?", (face.face,)).fetchone()
        assert sharp == (1.0,)  # as the engine has it
