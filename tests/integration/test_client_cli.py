"""The command line against a real server: what it prints, and its exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from facewire.client.cli import main
from facewire.protocol.messages import Identify
from facewire.protocol.schema import to_plain
from tests.support.fake_service import BROKEN, NAMES, identified
from tests.support.servers import Served, serving

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as served:
        yield served


@pytest.fixture
def port(served: Served) -> str:
    return str(served.address[1])


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_a_match_is_exit_0(port: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = write(tmp_path / "a.jpg", b"a")
    assert main([str(picture), "--port", port]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"{picture}: 1 face"
    face = identified(Identify(b"a")).faces[0]
    assert str(face.name) in second
    assert f"{face.similarity:.3f}" in second
    assert "happy" in second


def test_a_stranger_or_nobody_is_exit_1(port: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known, stranger = write(tmp_path / "a.jpg", b"a"), write(tmp_path / "b.jpg", b"stranger")
    assert main([str(known), str(stranger), "--port", port]) == 1
    assert "unknown" in capsys.readouterr().out
    nobody = write(tmp_path / "c.jpg", b"nobody")
    assert main([str(nobody), "--port", port]) == 1
    assert capsys.readouterr().out == f"{nobody}: no face found\n"


def test_candidates(port: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = write(tmp_path / "a.jpg", b"a")
    assert main([str(picture), "--port", port, "-k", "3"]) == 0
    names = [candidate.name for candidate in identified(Identify(b"a", k=3)).faces[0].candidates]
    assert [line[15:] for line in capsys.readouterr().out.splitlines()[2:]] == names


def test_json_is_the_wires_result_and_the_file(port: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [write(tmp_path / f"{n}.jpg", b"picture %d" % n) for n in range(30)]
    broken = write(tmp_path / "broken.jpg", BROKEN)
    assert main([*map(str, paths), str(broken), "--json", "--no-emotion", "--port", port]) == 3
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for path, line in zip(paths, lines, strict=False):
        result = to_plain(identified(Identify(path.read_bytes(), emotion=False)))
        assert line == {"file": str(path), **result}
    message = "these bytes are not a picture"
    assert lines[-1] == {"file": str(broken), "error": {"code": "invalid_image", "message": message}}


def test_a_folder_is_searched_at_any_depth_in_any_case(
    port: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("b.JPG", "deep/er/a.Png", "c.webp", "notes.txt", "deep/x.gif", "deep/x.HIF", ".hidden.jpg"):
        write(tmp_path / name, b"a")
    write(tmp_path / "IMG_0001", b"\xff\xd8\xff called like nothing")
    write(tmp_path / "deep/film.mp4", b"\0\0\0\x18ftypmp42")
    assert main([str(tmp_path), "--json", "--port", port]) == 0
    captured = capsys.readouterr()
    files = [json.loads(line)["file"] for line in captured.out.splitlines()]
    expected = ("IMG_0001", "b.JPG", "c.webp", "deep/er/a.Png", "deep/x.HIF", "deep/x.gif")
    assert files == [str(tmp_path / name) for name in expected]
    said, *left_out, service = captured.err.splitlines()
    assert service == "1 service file left out"
    assert said.startswith("skipped 2 files that are not a picture (can read JPEG, PNG, ")
    assert left_out == [f"  {tmp_path / name}" for name in ("deep/film.mp4", "notes.txt")]


def test_one_refused_picture_is_exit_3_and_the_others_are_answered(
    port: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken, fine = write(tmp_path / "a.jpg", BROKEN), write(tmp_path / "b.jpg", b"b")
    assert main([str(broken), str(fine), "--port", port]) == 3
    captured = capsys.readouterr()
    assert captured.err == f"{broken}: these bytes are not a picture\nrecognised with fake\n"
    assert captured.out.startswith(f"{fine}: 1 face")


def test_asked_wrongly_is_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = str(write(tmp_path / "a.jpg", b"a"))
    empty = tmp_path / "empty"
    empty.mkdir()
    for words in ([], [picture, "-k", "0"], [picture, "--timeout", "0"], [picture, "--port", "70000"], ["--nonsense"]):
        with pytest.raises(SystemExit) as caught:
            main(words)
        assert caught.value.code == 2
    capsys.readouterr()
    for words, told in (
        ([str(tmp_path / "none.jpg")], "no such file"),
        ([str(empty)], "no pictures in"),
        ([picture, "--draw", str(tmp_path)], "would write over"),
    ):
        assert main(words) == 2
        captured = capsys.readouterr()
        assert told in captured.err
        assert captured.out == ""


def test_no_server_says_how_to_start_one(tmp_path: Path) -> None:
    """As a process: the launcher, its exit code, and no traceback."""
    with serving() as gone:
        port = str(gone.address[1])
    words = [sys.executable, "client_app.py", str(write(tmp_path / "a.jpg", b"a")), "--port", port]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert f"python server_app.py --port {port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_terminal_without_block_characters_gets_plain_ones(port: str, tmp_path: Path) -> None:
    words = [sys.executable, "client_app.py", str(write(tmp_path / "a.jpg", b"a")), "--port", port]
    environment = {"PYTHONIOENCODING": "ascii", "PATH": ""}
    done = subprocess.run(words, cwd=ROOT, capture_output=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert b"####......" in done.stdout


def test_a_thin_client_needs_neither_numpy_nor_cv2() -> None:
    check = "import sys, client, client.cli; sys.exit(bool({'numpy', 'cv2'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=False).returncode == 0


def test_drawings(port: str, tmp_path: Path) -> None:
    done, data = cv2.imencode(".png", np.full((240, 320, 3), 128, np.uint8))
    assert done
    one = write(tmp_path / "one" / "a.png", data.tobytes())
    two = write(tmp_path / "two" / "a.PNG", data.tobytes())
    out = tmp_path / "out"
    assert main([str(one), str(two), "--draw", str(out), "--port", port]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["a-2.jpg", "a.jpg"]
    drawn = cv2.imread(str(out / "a.jpg"))
    assert drawn is not None
    assert drawn.shape == (240, 320, 3)
    assert np.ptp(drawn) > 100  # boxes


def test_a_picture_that_can_not_be_drawn_is_told(port: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = write(tmp_path / "a.jpg", b"a")
    assert main([str(picture), "--draw", str(tmp_path / "out"), "--port", port]) == 3
    captured = capsys.readouterr()
    assert "1 face" in captured.out
    assert "this computer can't read the picture" in captured.err


def test_the_command_may_be_named(port: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = write(tmp_path / "a.jpg", b"a")
    assert main(["identify", str(picture), "--port", port]) == 0
    printed = capsys.readouterr().out
    assert any(name in printed for name in NAMES)


def test_no_answer_in_time_says_which_flag_waits_longer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = write(tmp_path / "a.jpg", b"hold")
    with serving() as served:
        assert main([str(picture), "--port", str(served.address[1]), "--timeout", "0.5"]) == 3
        served.service.release.set()
    assert "no answer in 0.5 s" in (told := capsys.readouterr().err)
    assert "--timeout" in told


def test_a_command_after_flags_is_told_to_come_first(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--port", port, "ping"]) == 2
    assert "a command comes before its flags: client_app.py ping ..." in capsys.readouterr().err
