"""Where a network's file comes from, in which order, and what never stays on the disk."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from server.errors import StartError
from server.vision import weights
from server.vision.models import YUNET_FILE
from server.vision.weights import WeightsFinder, checked

NAME = "some_weights.h5"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty DeepFace home."""
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def file_server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web server on this machine, and the folder it serves."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", folder
    server.shutdown()
    thread.join()
    server.server_close()


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_the_given_folder_comes_before_deepfaces_home(home: Path, tmp_path: Path) -> None:
    put(home / ".deepface" / "weights" / NAME, b"home")
    assert WeightsFinder(None, None).find(NAME).sha256 == hashlib.sha256(b"home").hexdigest()
    given = put(tmp_path / "given" / NAME, b"given")
    assert WeightsFinder(tmp_path / "given", None).find(NAME).path == given
    assert WeightsFinder(tmp_path / "elsewhere", None).find(NAME).sha256 == hashlib.sha256(b"home").hexdigest()


def test_a_deepface_home_may_be_given_as_the_folder(home: Path, tmp_path: Path) -> None:
    inside = put(tmp_path / "other" / ".deepface" / "weights" / NAME, b"x")
    assert WeightsFinder(tmp_path / "other", None).find(NAME).path == inside


def test_what_is_nowhere_is_explained(home: Path, tmp_path: Path) -> None:
    finder = WeightsFinder(tmp_path / "given", None)
    with pytest.raises(StartError) as error:
        finder.find(NAME, lambda: ["http://example.invalid/some_weights.h5"])
    message = str(error.value)
    assert error.value.exit_code == 3
    for part in (NAME, str(tmp_path / "given"), str(home), "http://example.invalid/some_weights.h5"):
        assert part in message


def test_a_known_file_with_other_bytes_is_refused(home: Path) -> None:
    put(home / ".deepface" / "weights" / YUNET_FILE, b"not YuNet")
    with pytest.raises(StartError, match="damaged"):
        WeightsFinder(None, None).find(YUNET_FILE)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="empty"):
        checked(put(tmp_path / NAME, b""), NAME)


def test_an_installed_package_may_carry_the_file(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    carried = put(tmp_path / "site" / "weights_carrier" / "models" / NAME, b"carried")
    put(tmp_path / "site" / "weights_carrier" / "__init__.py", b"")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setattr(weights, "CARRIERS", ("weights_carrier", "not_installed_at_all"))
    assert WeightsFinder(None, None).find(NAME).path == carried


def test_a_download_that_breaks_leaves_nothing(home: Path) -> None:
    def breaks(name: str, urls: Sequence[str], staging: Path) -> None:
        put(staging / ".deepface" / "weights" / name, b"half of")
        raise ValueError("the line went dead")

    with pytest.raises(StartError, match="the line went dead"):
        WeightsFinder(None, breaks).find(NAME, lambda: ["http://example.invalid/x"])
    assert [path for path in home.rglob("*") if path.is_file()] == []


def test_a_download_with_the_wrong_bytes_leaves_nothing(home: Path) -> None:
    def wrong(name: str, urls: Sequence[str], staging: Path) -> None:
        put(staging / ".deepface" / "weights" / name, b"a login page, say")

    with pytest.raises(StartError, match="damaged"):
        WeightsFinder(None, wrong).find(YUNET_FILE, lambda: ["http://example.invalid/x"])
    assert [path for path in home.rglob("*") if path.is_file()] == []


def test_deepfaces_own_download_from_a_mirror(home: Path, file_server: tuple[str, Path]) -> None:
    pytest.importorskip("deepface")
    from server.vision.deepface_models import download

    address, folder = file_server
    put(folder / NAME, b"w" * 100_000)
    finder = WeightsFinder(None, download, mirror=address)
    found = finder.find(NAME)
    assert found.path == home / ".deepface" / "weights" / NAME
    assert found.sha256 == hashlib.sha256(b"w" * 100_000).hexdigest()
    (folder / NAME).unlink()
    assert finder.find(NAME) == found  # the second time nothing is fetched
    with pytest.raises(StartError, match=address):
        finder.find("not_on_the_mirror.h5")
    assert {path.name for path in home.rglob("*") if path.is_file()} == {NAME}
