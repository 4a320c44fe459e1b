"""--db: a file, or a gallery in Milvus."""

from __future__ import annotations

from argparse import ArgumentTypeError
from pathlib import Path

import pytest

from facewire.server.gallery.address import MilvusAddress, database, database_file, local_path
from facewire.server.settings import parse


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("data/people.db", Path("data/people.db")),
        ("/srv/milvus/people", Path("/srv/milvus/people")),
        ("milvus://db.example:19531/people", MilvusAddress("db.example", 19531, "people")),
        ("milvus+tls://db.example/people", MilvusAddress("db.example", 19530, "people", tls=True)),
        ("milvus://[::1]:5/p_2", MilvusAddress("::1", 5, "p_2")),
        ("milvus://h/p?staleness_ms=0&index=hnsw", MilvusAddress("h", 19530, "p", staleness_ms=0, index="hnsw")),
        ("milvus://h/p?timeout_s=7.5", MilvusAddress("h", 19530, "p", timeout_s=7.5)),
    ],
)
def test_what_is_meant(text: str, meant: object) -> None:
    assert database(text) == meant


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("postgres://h/p", "neither a file nor milvus://"),
        ("milvus://h", "can't have a collection called ''"),
        ("milvus://h/a-b", "can't have a collection called 'a-b'"),
        ("milvus://h/2people", "no digit first"),
        ("milvus://h/a/b", "can't have a collection"),
        ("milvus://h/" + "a" * 201, "at most 200"),
        ("milvus:///p", "is not milvus://HOST:PORT/NAME"),
        ("milvus://h:port/p", "is not milvus://HOST:PORT/NAME"),
        ("milvus://h:99999/p", "is not milvus://HOST:PORT/NAME"),
        ("milvus://h/p?index=best", "index=flat|hnsw"),
        ("milvus://h/p?timeout_s=0", "timeout_s=N (600 at most)"),
        ("milvus://h/p?timeout_s=inf", "timeout_s=N (600 at most)"),
        ("milvus://h/p?timeout_s=nan", "timeout_s=N (600 at most)"),
        ("milvus://h/p?staleness_ms=soon", "is not milvus://HOST:PORT/NAME"),
        ("milvus://h/p?colour=red", "is not milvus://HOST:PORT/NAME"),
    ],
)
def test_what_is_refused(text: str, said: str) -> None:
    with pytest.raises(ArgumentTypeError) as refused:
        database(text)
    assert said in str(refused.value)


@pytest.mark.parametrize("text", ["milvus://root:secret@h/p", "milvus://root:secret@h:port/p"])
def test_a_token_in_an_address_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ArgumentTypeError) as refused:
        database(text)
    assert "secret" not in str(refused.value)


def test_an_address_is_read_back_from_how_it_is_written() -> None:
    for text in ("milvus://db.example:19531/people", "milvus+tls://[::1]:19530/people"):
        assert str(database(text)) == text
    address = MilvusAddress("h", 5, "p", staleness_ms=7, index="hnsw", timeout_s=2.5)
    assert database(address.argument) == address


def test_files_of_this_machine_lie_beside_a_name() -> None:
    address = database("milvus://h/people")
    assert local_path(address) == Path("data/people.milvus")
    assert parse(["--db", "milvus://h/people"], {}).albums.root == Path("data/people.albums")
    assert parse([], {"FACEWIRE_DB": "milvus://h/people"}).db == address


def test_a_command_that_works_on_a_file_says_so() -> None:
    assert database_file("people.db") == Path("people.db")
    here = "milvus://h:19530/people"
    with pytest.raises(
        ArgumentTypeError, match=rf"must be a database file, not {here}: fetch it with .* import {here} "
    ):
        database_file("milvus://h/people")
