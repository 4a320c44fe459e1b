"""Names as people type them, over a socket."""

from __future__ import annotations

from pathlib import Path

import pytest

from facewire.client import FaceClient, ServerRefused
from facewire.client.errors import AlreadyExists, UnknownPerson
from tests.support.living_server import living_server
from tests.support.synthetic_engine import portrait


def enrolled(client: FaceClient, *names: str) -> None:
    for number, name in enumerate(names, 1):
        client.enrol(name, portrait(number))


def test_people_are_found_by_what_is_typed(tmp_path: Path) -> None:
    with living_server(tmp_path / "g.db") as server, server.client() as client:
        enrolled(client, "Emília", "Søren", "Straße", "Łódź")
        for typed, name in (("emilia", "Emília"), ("SOREN", "Søren"), ("strass", "Straße"), ("lodz", "Łódź")):
            assert [person.name for person in client.people(contains=typed).people] == [name]
        assert client.show("emilia").person.name == "Emília"
        with pytest.raises(UnknownPerson, match="did you mean Emília"):
            client.rename("emilia", "Emil")
        with pytest.raises(UnknownPerson, match="did you mean Søren"):
            client.remove("Soren")


def test_two_people_of_nearly_one_name_are_remarked_on(tmp_path: Path) -> None:
    with living_server(tmp_path / "g.db") as server, server.client() as client:
        assert client.enrol("Mats", portrait(1)).doubts == ()
        (doubt,) = client.enrol("mats", portrait(2)).doubts
        assert (doubt.reason, doubt.index) == ("similar_name", 0)
        assert "Mats" in doubt.message
        assert client.enrol("mats", portrait(3)).doubts == ()  # it was said
        enrolled(client, "Zoe")
        assert "there is also" in client.rename("Zoe", "MATS").note
        ids = [template.id for template in client.show("mats").templates]
        assert "there is also" in client.split("mats", ids[:1], "Máts").note
        assert client.rename("Máts", "Ole").note == ""


def test_a_name_may_change_in_its_case_only(tmp_path: Path) -> None:
    with living_server(tmp_path / "g.db") as server, server.client() as client:
        enrolled(client, "mats", "Jose")
        assert [person.name for person in client.rename("mats", "Mats").people] == ["Mats"]
        assert [person.name for person in client.rename("Jose", "Jose\u0301").people] == ["José"]
        with pytest.raises(AlreadyExists, match="already has that name"):
            client.rename("José", "Jose\u0301")


def test_a_person_of_before_the_rule_can_be_renamed(tmp_path: Path) -> None:
    with living_server(tmp_path / "g.db") as server, server.client() as client:
        enrolled(client, "Ada")
        with server.gallery._writer._store.transaction():
            store = server.gallery._writer._store
            store.execute("INSERT INTO events (at, op, undoable) VALUES ('now', 'rename', 0)")
            store.execute("INSERT INTO meta VALUES ('open_event', (SELECT max(id) FROM events))")
            store.execute("UPDATE people SET name = ?", ("Ada\u202e",))
            store.execute("DELETE FROM meta WHERE key = 'open_event'")
        server.gallery.refresh()
        with pytest.raises(ServerRefused, match=r"U\+202E"):
            client.enrol("Ada\u202e", portrait(2))
        assert client.show("Ada\u202e").person.name == "Ada\u202e"
        assert [person.name for person in client.rename("Ada\u202e", "Ada").people] == ["Ada"]
