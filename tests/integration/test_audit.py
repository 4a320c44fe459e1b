"""Who did what: the journals of gallery and albums, of old files too, and the audit log."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from facewire.client import FaceClient, Forbidden, InvalidImage
from facewire.protocol.schema import REQUEST_OF
from facewire.server.access.audit import LOOKING, AuditLog
from facewire.server.access.gate import Gate
from facewire.server.access.token_file import TokenFile, changing
from facewire.server.access.tokens import Token, digest_of
from facewire.server.albums import schema as album_schema
from facewire.server.errors import StartError
from facewire.server.gallery.sqlite import SqliteGallery
from facewire.server.gallery.storage import schema
from tests.support.fake_service import BROKEN, PATIENCE_S
from tests.support.galleries import picture, spec, unit
from tests.support.servers import serving
from tests.support.synthetic_engine import portrait
from tests.support.web_server import facewire_server

HERE = "127.0.0.1"


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    """Knows the token of the environment, and `door`, which may enrol and identify; each is its own text."""
    file = tmp_path / "tokens.json"
    with changing(file) as tokens:
        tokens["door"] = Token("door", digest_of("door"), frozenset(("enrol", "identify")))
    return Gate("sesame", TokenFile(file))


class TestJournal:
    def test_every_change_says_by_which_token_and_from_where(self, tmp_path: Path, gate: Gate) -> None:
        with (
            facewire_server(tmp_path, gate=gate) as address,
            FaceClient(*address, token="door", timeout=PATIENCE_S) as door,
            FaceClient(*address, token="sesame", timeout=PATIENCE_S) as master,
        ):
            assert door.enrol("Ada", portrait(7)).event is not None
            master.rename("Ada", "Ada Lovelace")
            made = [(event.op, event.token, event.address) for event in master.history().events]
            assert made == [("rename", "FACEWIRE_TOKEN", HERE), ("enrol", "door", HERE)]

    def test_corrections_in_albums_too(self, tmp_path: Path, gate: Gate) -> None:
        with (
            facewire_server(tmp_path, gate=gate) as address,
            FaceClient(*address, token="sesame", timeout=PATIENCE_S) as client,
        ):
            client.albums.create("Trip")
            client.albums.add("Trip", "a.png", portrait(7))
            client.albums.process("Trip")
            (person,) = client.albums.people("Trip").people
            client.albums.label("Trip", person.person, "Ada")
            (event,) = client.albums.history("Trip").events
            assert (event.token, event.address) == ("FACEWIRE_TOKEN", HERE)
            assert (event.undone_token, event.undone_address) == ("", "")
            client.albums.undo("Trip")
            (event,) = client.albums.history("Trip").events
            assert (event.undone_token, event.undone_address) == ("FACEWIRE_TOKEN", HERE)

    def test_without_tokens_the_address_is_what_is_known(self, tmp_path: Path) -> None:
        with facewire_server(tmp_path) as address, FaceClient(*address, timeout=PATIENCE_S) as client:
            client.enrol("Ada", portrait(7))
            (event,) = client.history().events
            assert (event.token, event.address) == ("", HERE)

    def test_a_gallery_of_before_keeps_its_history(self, tmp_path: Path) -> None:
        db = tmp_path / "old.db"
        with SqliteGallery.create(db, spec()) as gallery:
            gallery.enrol("Ann", [picture("a", unit(1, 0, 0, 0))])
        with closing(sqlite3.connect(db, isolation_level=None)) as raw:
            for column in ("token", "address"):
                raw.execute(f"ALTER TABLE events DROP COLUMN {column}")
            raw.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) - 1}")
        with SqliteGallery.open(db) as gallery:
            ((event,), total) = gallery.history(9)
            assert (total, event.op, event.token, event.address) == (1, "enrol", "", "")
            gallery.undo()

    def test_albums_of_before_too(self, tmp_path: Path) -> None:
        with closing(sqlite3.connect(tmp_path / "albums.db", isolation_level=None)) as raw:
            schema.migrate(raw, album_schema.MIGRATIONS[:2])
            raw.execute("INSERT INTO albums (name, created) VALUES ('Trip', '2026')")
            raw.execute("INSERT INTO events (album_id, at, done, before) VALUES (1, '2026', 'named 1', '{}')")
            schema.migrate(raw, album_schema.MIGRATIONS)
            assert raw.execute("SELECT done, token, address FROM events").fetchall() == [("named 1", "", "")]


class TestLog:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        return tmp_path / "audit.jsonl"

    @pytest.fixture
    def audit(self, file: Path) -> Iterator[AuditLog]:
        log = AuditLog(file)
        yield log
        log.close()

    def lines(self, file: Path) -> list[dict[str, Any]]:
        return [json.loads(line) for line in file.read_text().splitlines()]

    def test_one_line_for_each_identification_whatever_came_of_it(
        self, gate: Gate, audit: AuditLog, file: Path
    ) -> None:
        with (
            serving(gate=gate, audit=audit) as served,
            FaceClient(*served.address, token="door", timeout=PATIENCE_S) as door,
        ):
            answer = door.identify(b"a picture")
            door.ping()
            door.people()
            with pytest.raises(InvalidImage):
                door.identify(BROKEN)
            door.verify(b"one", b"two")
            with pytest.raises(Forbidden):
                door.erase("Ada Lovelace")
        found, broken, verified, erased = self.lines(file)
        assert {key: found[key] for key in ("op", "token", "address", "outcome", "faces")} == {
            "op": "identify", "token": "door", "address": HERE, "outcome": "ok", "faces": len(answer.faces)
        }  # fmt: skip
        assert sum(found["decisions"].values()) == len(answer.faces)
        assert (broken["op"], broken["outcome"]) == ("identify", "invalid_image")
        assert (verified["op"], verified["same"]) == ("verify", False)
        assert (erased["op"], erased["outcome"]) == ("erase", "forbidden")

    def test_it_holds_nothing_of_anybody(self, gate: Gate, audit: AuditLog, file: Path) -> None:
        with (
            serving(gate=gate, audit=audit) as served,
            FaceClient(*served.address, token="sesame", timeout=PATIENCE_S) as client,
        ):
            for number in range(20):
                client.identify(bytes((number,)), k=4)
            client.enrol("Ada Lovelace", b"a picture")
            client.embed(b"a picture")
        assert not {key for line in self.lines(file) for key in line} - {
            *("at", "op", "token", "address", "outcome", "ms", "faces", "decisions", "event")
        }
        assert "Lovelace" not in file.read_text()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    def test_logrotate(self, audit: AuditLog, file: Path) -> None:
        with serving(audit=audit) as served, FaceClient(*served.address, timeout=PATIENCE_S) as client:
            client.identify(b"before")
            moved = file.with_suffix(".1")
            file.rename(moved)
            client.identify(b"after")
            client.identify(b"after")
            file.unlink()
            client.identify(b"at last")
        assert (len(self.lines(moved)), len(self.lines(file))) == (1, 1)

    def test_a_full_disk_is_logged_and_requests_go_on(self, caplog: pytest.LogCaptureFixture) -> None:
        if not os.access("/dev/full", os.W_OK):
            pytest.skip("there is no /dev/full here")
        audit = AuditLog(Path("/dev/full"))
        with serving(audit=audit) as served, FaceClient(*served.address, timeout=PATIENCE_S) as client:
            client.identify(b"a picture")
            client.identify(b"another")
        audit.close()
        assert [record.levelname for record in caplog.records if "lacks lines" in record.getMessage()] == ["ERROR"]

    def test_a_place_that_can_not_be_written_ends_the_start(self, tmp_path: Path) -> None:
        with pytest.raises(StartError, match="audit log"):
            AuditLog(tmp_path / "missing" / "audit.jsonl")

    def test_what_only_looks_is_what_it_is_called(self) -> None:
        assert set(REQUEST_OF) >= LOOKING
