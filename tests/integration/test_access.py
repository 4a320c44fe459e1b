"""Tokens over a real socket: what each may, what it sees, and how soon a change of the file holds."""

from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from facewire.client import FaceClient, Forbidden, ServerBusy, ServerRefused, Unauthorized, UnknownPerson
from facewire.protocol.albums.collection import AlbumCreate, AlbumRename, AlbumStatus
from facewire.protocol.messages import Hello, RequestBody
from facewire.server.access.gate import Gate
from facewire.server.access.token_file import TokenFile, changing
from facewire.server.access.tokens import Limits, Token, digest_of
from facewire.server.access.tokens_command import main
from facewire.server.errors import StartError
from tests.support.fake_service import NAMES, PATIENCE_S
from tests.support.servers import RawClient, Served, serving
from tests.support.synthetic_engine import portrait
from tests.support.web_server import facewire_server

MASTER = "open sesame"


class Clock:
    now = 1_000_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def served(file: Path, clock: Clock) -> Iterator[Served]:
    with serving(gate=Gate(MASTER, TokenFile(file), clock)) as served:
        yield served


@pytest.fixture
def create(file: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Create]:
    yield Create(file, capsys)


class Create:
    """`tokens.py create`; returns the token's text."""

    def __init__(self, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.file = file
        self._capsys = capsys

    def run(self, *words: str, code: int = 0) -> str:
        assert main([*words, "--tokens", str(self.file)]) == code
        said = self._capsys.readouterr()
        return said.err if code else said.out

    def __call__(self, name: str, may: str, *more: str) -> str:
        return self.run("create", name, "--may", may, *more).strip()


def client(served: Served, token: str) -> FaceClient:
    return FaceClient(*served.address, token=token, timeout=PATIENCE_S)


def raised(ask: Callable[[], object]) -> str:
    """The code with which a request is refused."""
    with pytest.raises(ServerRefused) as caught:
        ask()
    return caught.value.code


def test_a_token_may_what_it_says_and_nothing_else(served: Served, create: Create) -> None:
    with client(served, create("kiosk", "identify")) as kiosk:
        kiosk.identify(b"a picture")
        for refused, right in (
            (lambda: kiosk.enrol("Ada", b"a picture"), "enrol"),
            (lambda: kiosk.people(), "enrol or manage"),
            (lambda: kiosk.erase("Ada Lovelace"), "manage"),
            (lambda: kiosk.stats(), "operate"),
            (lambda: kiosk.albums.list(), "albums"),
        ):
            with pytest.raises(Forbidden, match=f"token kiosk may not .* right {right}"):
                refused()
        kiosk.ping()  # the connection goes on
        welcome = kiosk.ask(Hello(create("door", "enrol,operate")))
        assert (welcome.token, welcome.rights) == ("door", ("enrol", "operate"))
        kiosk.stats()
    assert served.service.seen == [b"a picture"]


def test_the_environments_token_may_everything(served: Served) -> None:
    with client(served, MASTER) as everybody:
        everybody.stats()
        everybody.erase("Ada Lovelace")
        assert everybody.ask(Hello(MASTER)).token == "FACEWIRE_TOKEN"


def test_revoked_at_once_and_open_connections_too(served: Served, create: Create) -> None:
    text = create("kiosk", "identify")
    with client(served, text) as kiosk:
        kiosk.ping()
        assert create.run("revoke", "kiosk") == "revoked kiosk\n"
        with pytest.raises(Unauthorized, match="revoked, or has expired"):
            kiosk.ping()
    with pytest.raises(Unauthorized, match="the token is wrong"):
        client(served, text).connect()


def test_rights_that_were_taken_away_are_gone_at_the_next_request(served: Served, create: Create) -> None:
    with client(served, create("kiosk", "identify,enrol")) as kiosk:
        kiosk.enrol("Ada", b"a picture")
        with changing(create.file) as tokens:
            tokens["kiosk"] = type(tokens["kiosk"])("kiosk", tokens["kiosk"].digest, frozenset(("identify",)))
        with pytest.raises(Forbidden):
            kiosk.enrol("Ada", b"another")
        kiosk.identify(b"a picture")


def test_a_deleted_file_revokes_and_a_damaged_one_changes_nothing(
    served: Served, create: Create, caplog: pytest.LogCaptureFixture
) -> None:
    with client(served, create("kiosk", "identify")) as kiosk:
        kiosk.ping()
        create.file.write_text("{")
        kiosk.ping()
        assert "the tokens from before stay in force" in caplog.text
        create.file.unlink()
        with pytest.raises(Unauthorized):
            kiosk.ping()


def test_expiry(served: Served, create: Create, clock: Clock) -> None:
    with changing(create.file) as tokens:
        pass
    text = create("guest", "identify", "--expires", "30d")
    with changing(create.file) as tokens:
        until = tokens["guest"].expires
    assert until is not None
    clock.now = until - 1
    with client(served, text) as guest:
        guest.ping()
        clock.now = until
        with pytest.raises(Unauthorized, match="expired"):
            guest.ping()


def test_wrong_tokens_end_the_connection_without_a_right(served: Served) -> None:
    with RawClient(served.address) as raw:
        assert raw.ask(op="stats")["error"]["code"] == "unauthorized"
        assert raw.at_end()


class TestSight:
    def test_people_that_a_token_does_not_see_do_not_exist_for_it(self, served: Served, create: Create) -> None:
        with client(served, MASTER) as everybody:
            pictures = [bytes((number,)) for number in range(40)]
            named = {picture: everybody.identify(picture, k=4) for picture in pictures}
        seen = {candidate.name for answer in named.values() for face in answer.faces for candidate in face.candidates}
        assert seen == set(NAMES)
        with client(served, create("ada", "identify,enrol,manage", "--person", NAMES[0])) as limited:
            hidden = 0
            for picture in pictures:
                for face, whole in zip(limited.identify(picture, k=4).faces, named[picture].faces, strict=True):
                    assert {candidate.name for candidate in face.candidates} <= {NAMES[0]}
                    if whole.candidates and whole.candidates[0].name != NAMES[0]:
                        assert (face.decision, face.name, face.similarity) == ("unknown", None, None)
                        hidden += whole.decision == "match"
                    else:
                        assert (face.decision, face.name) == (whole.decision, whole.name)
            assert hidden
            listed = limited.people()
            assert ([person.name for person in listed.people], listed.total) == ([NAMES[0]], 1)
            assert limited.people(offset=1).people == ()
            limited.show(NAMES[0])
            for refused in (
                lambda: limited.show(NAMES[1]),
                lambda: limited.rename(NAMES[0], NAMES[1]),
                lambda: limited.merge([NAMES[1]], NAMES[0]),
                lambda: limited.enrol("Somebody new", b"a picture"),
                lambda: limited.history(name=NAMES[1]),
            ):
                with pytest.raises(UnknownPerson):
                    refused()
            for about_all in (lambda: limited.undo(), lambda: limited.history()):
                with pytest.raises(Forbidden):
                    about_all()

    def test_a_number_opens_nobodys_face_that_it_does_not_see(self, tmp_path: Path, create: Create) -> None:
        gate = Gate(MASTER, TokenFile(create.file))
        text = create("ada", "manage", "--person", "Ada")
        with facewire_server(tmp_path, gate=gate) as address:
            with FaceClient(*address, token=MASTER, timeout=PATIENCE_S) as everybody:
                own, other = (
                    everybody.enrol(name, portrait(7 * len(name))).templates[0].template for name in ("Ada", "Zoë B")
                )
                assert everybody.template("Ada", other).person.name == "Zoë B"
            with FaceClient(*address, token=text, timeout=PATIENCE_S) as limited:
                assert limited.template("Ada", own).person.name == "Ada"
                said = set()
                for number in (other, 1000):
                    with pytest.raises(UnknownPerson) as caught:
                        limited.template("Ada", number)
                    said.add(str(caught.value))
                assert len(said) == 1  # or it would tell which numbers there are

    def test_a_name_without_its_accents_opens_nobody_that_it_does_not_see(self, tmp_path: Path, create: Create) -> None:
        gate = Gate(MASTER, TokenFile(create.file))
        text = create("zoe", "manage", "--person", "Zoe")
        with facewire_server(tmp_path, gate=gate) as address:
            with FaceClient(*address, token=MASTER, timeout=PATIENCE_S) as everybody:
                everybody.enrol("Zoë", portrait(7))
                assert everybody.show("Zoe").person.name == "Zoë"
            with (
                FaceClient(*address, token=text, timeout=PATIENCE_S) as limited,
                pytest.raises(UnknownPerson) as caught,
            ):
                limited.show("Zoe")
        assert "Zoë" not in str(caught.value)

    def test_history_is_paged_and_counted_without_what_it_does_not_see(self, tmp_path: Path, create: Create) -> None:
        gate = Gate(MASTER, TokenFile(create.file))
        text = create("ada", "manage", "--person", "Ada")
        with facewire_server(tmp_path, gate=gate) as address:
            with FaceClient(*address, token=MASTER, timeout=PATIENCE_S) as everybody:
                everybody.enrol("Ada", portrait(1))
                everybody.enrol("Bob", portrait(2))
                everybody.merge(["Bob"], "Ada")
                everybody.enrol("Ada", portrait(3))
            with FaceClient(*address, token=text, timeout=PATIENCE_S) as limited:
                newest = limited.history(limit=1, name="Ada")
                older = limited.history(limit=1, name="Ada", before=newest.events[0].id)
        assert [event.text for event in (*newest.events, *older.events)] == ["enrolled Ada (1 template)"] * 2
        assert newest.total == older.total == 2

    def test_limited_to_people_it_sees_only_albums_that_are_listed(self, tmp_path: Path, create: Create) -> None:
        assert "say by --album" in create.run("create", "ada", "--may", "albums", "--person", "Ada", code=2)
        with changing(create.file) as tokens:
            digest = digest_of("by hand")
            tokens["ada"] = Token("ada", digest, frozenset(("albums",)), people=frozenset(("Ada",)))
        gate = Gate(MASTER, TokenFile(create.file))
        with (
            facewire_server(tmp_path, gate=gate) as address,
            FaceClient(*address, token="by hand", timeout=PATIENCE_S) as limited,
            pytest.raises(Forbidden, match="may name others"),
        ):
            limited.albums.list()

    def test_a_link_to_an_album_lets_look_at_it_and_change_nothing(self, tmp_path: Path, create: Create) -> None:
        with pytest.raises(SystemExit):
            create.run("create", "guests", "--may", "view", "--link", "photos.example")
        page = ("--album", "Trip", "--link", "https://photos.example/")
        text, link = create.run("create", "guests", "--may", "view", *page).splitlines()
        assert link == f"https://photos.example/login#{text}"
        with facewire_server(tmp_path, gate=Gate(MASTER, TokenFile(create.file))) as address:
            with FaceClient(*address, token=MASTER, timeout=PATIENCE_S) as everybody:
                for album in ("Trip", "Home"):
                    everybody.albums.create(album)
                added = everybody.albums.add("Trip", "a.png", portrait(1))
                everybody.albums.process("Trip")
            with FaceClient(*address, token=text, timeout=PATIENCE_S) as guest:
                assert [album.album for album in guest.albums.list().albums] == ["Trip"]
                (one,) = guest.albums.people("Trip").people
                assert guest.albums.photo("Trip", added.photo).image == portrait(1)
                assert guest.albums.export("Trip").files
                for change in (
                    lambda: guest.albums.label("Trip", one.person, "Ada"),
                    lambda: guest.albums.remove("Trip", [added.photo]),
                    lambda: guest.albums.add("Trip", "b.png", portrait(2)),
                    lambda: guest.albums.delete("Trip"),
                ):
                    with pytest.raises(Forbidden, match=r"token guests may not .* right albums"):
                        change()

    def test_albums_that_a_token_does_not_see_do_not_exist_for_it(self, tmp_path: Path, create: Create) -> None:
        gate = Gate(MASTER, TokenFile(create.file))
        text = create("trip", "albums,identify,enrol", "--album", "Trip", "--album", "Later")
        with facewire_server(tmp_path, gate=gate) as address:
            with FaceClient(*address, token=MASTER, timeout=PATIENCE_S) as everybody:
                for name in ("Party", "Trip", "Wedding"):
                    everybody.albums.create(name)
                    everybody.albums.add(name, "one.png", portrait(7))
                    everybody.albums.process(name)
                    everybody.albums.label(name, everybody.albums.people(name).people[0].person, f"{name} guest")
                assert len(everybody.albums.names().names) == 3
            with FaceClient(*address, token=text, timeout=PATIENCE_S) as limited:
                listed = limited.albums.list()
                assert ([album.album for album in listed.albums], listed.total) == (["Trip"], 1)
                limited.albums.status("Trip")
                for albums in ((), ("Trip", "Party")):
                    assert [one.name for one in limited.albums.names(albums=albums).names] == ["Trip guest"]
                assert limited.albums.names(albums=["Party"]).names == ()
                bodies: list[RequestBody] = [AlbumStatus("Party"), AlbumRename("Trip", "Party"), AlbumCreate("Mine")]
                for refused in bodies:
                    with pytest.raises(ServerRefused) as caught:
                        limited.ask(refused)
                    assert caught.value.code == "unknown_album"
                limited.albums.create("Later")

    def test_errors_suggest_nobody_that_it_does_not_see(self, tmp_path: Path, create: Create) -> None:
        gate = Gate(MASTER, TokenFile(create.file))
        text = create("ada", "manage,albums", "--person", "Ada", "--album", "Trip")
        with facewire_server(tmp_path, gate=gate) as address:
            with FaceClient(*address, token=MASTER, timeout=PATIENCE_S) as everybody:
                everybody.enrol("Adam", portrait(7))
                everybody.albums.create("Trips")
                with pytest.raises(UnknownPerson, match="Adam"):
                    everybody.show("Ada")
            with FaceClient(*address, token=text, timeout=PATIENCE_S) as limited:
                with pytest.raises(UnknownPerson) as caught:
                    limited.show("Ada")
                with pytest.raises(ServerRefused) as caught_too:
                    limited.albums.status("Trip")
            assert "Adam" not in str(caught.value) and "Trips" not in str(caught_too.value)


class TestLimits:
    def test_over_a_limit_is_busy_and_says_when(self, served: Served, create: Create) -> None:
        with client(served, create("kiosk", "identify", "--pictures", "1")) as kiosk:
            first = threading.Thread(target=kiosk.identify, args=(b"hold",))
            first.start()
            assert served.service.begun.acquire(timeout=PATIENCE_S)
            with pytest.raises(ServerBusy) as caught:
                kiosk.identify(b"second")
            served.service.release.set()
            first.join()
            assert caught.value.retry_after_ms
            kiosk.identify(b"third")

    def test_refused_requests_count_too(self, served: Served, create: Create) -> None:
        with client(served, create("kiosk", "identify", "--requests-per-second", "1")) as kiosk:
            codes = [raised(kiosk.stats) for _ in range(12)]
        assert codes[0] == "forbidden" and "busy" in codes

    def test_unreadable_requests_count_too(self, served: Served, create: Create) -> None:
        token = create("kiosk", "identify", "--requests-per-second", "1")
        with RawClient(served.address) as kiosk:
            kiosk.send(id=1, op="hello", token=token)
            kiosk.receive()
            codes = []
            for number in range(12):
                kiosk.send(id=number + 2, op="no such thing")
                codes.append(kiosk.receive()["error"]["code"])
        assert codes[0] == "unsupported_op" and "busy" in codes

    def test_bytes_a_day(self, file: Path, create: Create) -> None:
        text = create("kiosk", "identify", "--bytes-per-day-gb", "1")
        assert json.loads(file.read_text())["tokens"][0]["limits"]["bytes_per_day"] == 2**30
        assert text.startswith("facewire_")


class TestCommand:
    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
    def test_roots_changes_stay_readable_for_the_server(self, create: Create, file: Path) -> None:
        nobody = 65_534
        os.chown(file.parent, nobody, nobody)
        create("kiosk", "identify")
        assert (file.stat().st_uid, file.with_name("tokens.json-lock").stat().st_uid) == (nobody, nobody)
        os.chown(file.parent, 0, 0)
        create.run("revoke", "kiosk")
        assert file.stat().st_uid == nobody

    def test_the_file_is_private_and_holds_no_token(self, create: Create, file: Path) -> None:
        text = create("kiosk", "identify")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert text not in file.read_text() and text.removeprefix("facewire_") not in file.read_text()
        assert len(text.removeprefix("facewire_")) == 43

    def test_list(self, create: Create) -> None:
        create("kiosk", "identify", "--person", "Ada", "--expires", "2w")
        create("ops", "operate")
        first, second = create.run("list").splitlines()
        assert first.startswith("kiosk: may identify; expires ") and "; people Ada; created " in first
        assert second.startswith("ops: may operate; created ")

    def test_wrong_use(self, create: Create) -> None:
        create("kiosk", "identify")
        assert "there is a token 'kiosk' already" in create.run("create", "kiosk", "--may", "enrol", code=2)
        assert "did you mean 'kiosk'" in create.run("revoke", "kiosc", code=2)
        for words in (["--may", "identfy"], ["--may", "identify", "--expires", "soon"], []):
            with pytest.raises(SystemExit):
                create.run("create", "other", *words)
        with pytest.raises(SystemExit):
            create.run("create", "FACEWIRE_TOKEN", "--may", "identify")

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            *(("digest", value) for value in (["a"], "é" * 64, "abc", 5)),
            *(("expires", value) for value in ("soon", 10**400)),
            *(("limits", {**asdict(Limits()), "requests_per_s": value}) for value in (0, "many", 10**400)),
            *(("rights", value) for value in (None, "identify", ["fly"])),
            *(("people", value) for value in ([1], "Ada", ["\ud800"])),
            ("name", None),
            ("unknown", 1),
        ],
    )
    def test_a_token_of_something_else_is_refused_when_it_is_read(
        self, create: Create, file: Path, key: str, value: object
    ) -> None:
        create("kiosk", "identify")
        kept = json.loads(file.read_text())
        kept["tokens"][0][key] = value
        file.write_text(json.dumps(kept))
        with pytest.raises(StartError, match="no file of tokens, or damaged"):
            TokenFile(file)

    @pytest.mark.parametrize(
        "damaged",
        ["{", "[]", "[" * 100_000, '{"version": 2, "tokens": []}', '{"version": 1, "tokens": [{"name": "a"}]}'],
        ids=["cut off", "a list", "deep", "newer", "incomplete"],
    )
    def test_a_file_of_something_else_is_not_overwritten(self, create: Create, file: Path, damaged: str) -> None:
        file.write_text(damaged)
        with pytest.raises(StartError):
            TokenFile(file)
        create.run("create", "kiosk", "--may", "identify", code=3)
        assert file.read_text() == damaged
