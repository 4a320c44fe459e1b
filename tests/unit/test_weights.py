"""Where a network's file comes from, in which order, and what never stays on the disk."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import h5py
import numpy as np
import pytest

from facewire.server.errors import StartError
from facewire.server.vision import weights
from facewire.server.vision.deepface_models import download
from facewire.server.vision.models import YUNET_FILE
from facewire.server.vision.weights import WeightsFinder, checked, choose

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
    with serving(partial(SimpleHTTPRequestHandler, directory=str(folder))) as address:
        yield address, folder


@contextmanager
def serving(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[str]:
    """The address of a web server on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
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


@pytest.fixture
def fetch() -> Callable[[str, Sequence[str], Path], None]:
    """DeepFace's own download, and no waiting before another try."""
    pytest.importorskip("deepface")
    return download


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_PAUSE_S", 0.0)


class Mirror(BaseHTTPRequestHandler):
    """Serves `files` as `send` does it; `asked` counts the bodies that were asked for."""

    files: dict[str, bytes]
    asked: int

    def do_HEAD(self) -> None:
        self.send_response(200 if self.path[1:] in self.files else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        type(self).asked += 1
        self.send(self.files[self.path[1:]])

    def send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *said: object) -> None:
        pass


def mirror(files: dict[str, bytes], send: Callable[[Mirror, bytes], None]) -> type[Mirror]:
    return type("OneMirror", (Mirror,), {"files": files, "send": send, "asked": 0})


def left_in(home: Path) -> set[str]:
    return {path.name for path in home.rglob("*") if path.is_file()}


def test_files_fetched_at_once_from_a_slow_mirror_all_arrive(
    home: Path, fetch: Callable[[str, Sequence[str], Path], None]
) -> None:
    """Each waits in its middle until the other has come as far, so both are under way at once; and meanwhile nobody
    sees another environment than before."""
    files = {f"network_{number}.h5": bytes([number]) * 700_000 for number in range(2)}
    in_the_middle = threading.Barrier(2, timeout=60)

    def send_slowly(self: Mirror, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:300_000])
        self.wfile.flush()
        in_the_middle.wait()
        self.wfile.write(body[300_000:])

    environments: list[object] = []
    recording = True

    def record(event: str, arguments: tuple[object, ...]) -> None:
        if recording and event in ("os.putenv", "os.unsetenv"):
            environments.append(arguments)

    sys.addaudithook(record)  # stays for good, and silent
    before = dict(os.environ)
    with serving(mirror(files, send_slowly)) as address, ThreadPoolExecutor(2) as pool:
        found = dict(zip(files, pool.map(WeightsFinder(None, fetch, mirror=address).find, files), strict=True))
    recording = False
    assert environments == []
    assert dict(os.environ) == before
    for name, body in files.items():
        assert found[name].path == home / ".deepface" / "weights" / name
        assert found[name].path.read_bytes() == body
    assert left_in(home) == set(files)


@pytest.mark.parametrize("fault", ["a status", "half of it", "silence"])
def test_a_mirror_that_fails_at_first_is_asked_again(
    home: Path, fetch: Callable[[str, Sequence[str], Path], None], caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    body = b"w" * 700_000

    def fail_at_first(self: Mirror, body: bytes) -> None:
        if self.asked > 2:
            Mirror.send(self, body)
            return
        if fault == "a status":
            self.send_error(503)
            return
        if fault == "silence":
            self.connection.close()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2])
        return

    with serving(mirror({NAME: body}, fail_at_first)) as address, caplog.at_level("WARNING"):
        found = WeightsFinder(None, fetch, mirror=address).find(NAME)
    assert found.path.read_bytes() == body
    assert left_in(home) == {NAME}
    assert caplog.text.count("trying again") == 2


@pytest.mark.parametrize("length_said", [True, False], ids=["the length is said", "no length is said"])
def test_a_file_that_always_breaks_off_is_never_taken_for_whole(
    home: Path, fetch: Callable[[str, Sequence[str], Path], None], tmp_path: Path, length_said: bool
) -> None:
    with h5py.File(tmp_path / NAME, "w") as file:
        file["weights"] = np.zeros(100_000)
    body = (tmp_path / NAME).read_bytes()

    def cut(self: Mirror, body: bytes) -> None:
        self.send_response(200)
        if length_said:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2])

    with serving(mirror({NAME: body}, cut)) as address, pytest.raises(StartError) as error:
        WeightsFinder(None, fetch, mirror=address).find(NAME)
    assert left_in(home) == set()
    message = str(error.value)
    assert ("incomplete" if length_said else "damaged") in message
    advised = Path(message.rpartition(" put it in ")[2])
    assert advised.is_dir()
    assert advised == home / ".deepface" / "weights"
    assert ".fetching-" not in message


def test_a_login_page_is_no_network(home: Path, fetch: Callable[[str, Sequence[str], Path], None]) -> None:
    page = b"<!DOCTYPE html><html><body>Please log in</body></html>"
    with serving(mirror({NAME: page}, Mirror.send)) as address, pytest.raises(StartError, match="a web page"):
        WeightsFinder(None, fetch, mirror=address).find(NAME)
    assert left_in(home) == set()


def test_what_a_mirror_has_not_is_asked_for_once(
    home: Path, fetch: Callable[[str, Sequence[str], Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    with (
        serving(mirror({}, Mirror.send)) as address,
        caplog.at_level("WARNING"),
        pytest.raises(StartError, match="status 404"),
    ):
        WeightsFinder(None, fetch, mirror=address).find(NAME)
    assert caplog.text == ""


def test_nobody_there_is_said_and_no_class_of_python(
    home: Path, fetch: Callable[[str, Sequence[str], Path], None]
) -> None:
    with serving(mirror({}, Mirror.send)) as address:
        pass  # it is closed again
    with pytest.raises(StartError) as error:
        WeightsFinder(None, fetch, mirror=address).find(NAME)
    assert "no connection could be made" in str(error.value)
    assert "Error" not in str(error.value)


def test_progress_is_shown(
    home: Path, fetch: Callable[[str, Sequence[str], Path], None], capfd: pytest.CaptureFixture[str]
) -> None:
    with serving(mirror({NAME: b"w" * 700_000}, Mirror.send)) as address:
        WeightsFinder(None, fetch, mirror=address).find(NAME)
    said = capfd.readouterr()
    assert said.out == ""
    assert "700k/700k" in said.err


class TestFormats:
    """One network's weights as an ONNX file, preferred, and as a Keras file, which only TensorFlow reads."""

    NAMES = ("net.onnx", "net.h5")

    @pytest.fixture
    def finder(self, home: Path, tmp_path: Path) -> WeightsFinder:
        return WeightsFinder(tmp_path / "given", None)

    def test_without_either_the_one_to_fetch_can_be_read(self, finder: WeightsFinder) -> None:
        assert choose(self.NAMES, finder, tensorflow=False, onnx_too=True) == "net.onnx"
        assert choose(self.NAMES, finder, tensorflow=True, onnx_too=True) == "net.h5"
        assert choose(("only.onnx",), finder, tensorflow=True, onnx_too=False) == "only.onnx"

    def test_the_onnx_file_is_preferred_where_it_is(self, finder: WeightsFinder, tmp_path: Path) -> None:
        for name in self.NAMES:
            put(tmp_path / "given" / name, b"x")
        for tensorflow in (False, True):
            assert choose(self.NAMES, finder, tensorflow=tensorflow, onnx_too=True) == "net.onnx"
        assert choose(self.NAMES, finder, tensorflow=True, onnx_too=False) == "net.h5"

    def test_a_folder_that_comes_first_comes_first(self, finder: WeightsFinder, home: Path, tmp_path: Path) -> None:
        put(tmp_path / "given" / "net.h5", b"x")
        put(home / ".deepface" / "weights" / "net.onnx", b"x")
        assert choose(self.NAMES, finder, tensorflow=True, onnx_too=True) == "net.h5"
        assert choose(self.NAMES, finder, tensorflow=False, onnx_too=True) == "net.onnx"

    def test_a_keras_file_alone_asks_for_tensorflow(self, finder: WeightsFinder, tmp_path: Path) -> None:
        put(tmp_path / "given" / "net.h5", b"x")
        with pytest.raises(StartError) as error:
            choose(self.NAMES, finder, tensorflow=False, onnx_too=True)
        for part in ("net.h5", 'pip install "facewire[tensorflow]"', "make setup TENSORFLOW=1", "net.onnx"):
            assert part in str(error.value)
        with pytest.raises(StartError, match="TENSORFLOW=1"):  # and so it is fetched by nobody who can't read it
            choose(("net.h5",), WeightsFinder(None, None), tensorflow=False, onnx_too=True)
