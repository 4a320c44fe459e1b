"""A server that other machines reach, as an operator runs it: TLS, tokens, the audit log, and signals."""

from __future__ import annotations

import json
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest

from facewire.client import FaceClient, Forbidden, Tls, Unauthorized
from tests.integration.conftest import Kit
from tests.support.authorities import Authority
from tests.support.server_process import PATIENCE_S, READY, ROOT, environment, run_to_its_end, serving_process
from tests.support.waiting import eventually

EVERYWHERE = ("--host", "0.0.0.0")


def run(*words: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)


def test_an_operators_day(dlib_kit: Kit, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    files = authority.sign("localhost", "127.0.0.1")
    tokens, audit = str(tmp_path / "tokens.json"), tmp_path / "audit.jsonl"
    flags = (
        *(*EVERYWHERE, "--tls-cert", str(files.cert), "--tls-key", str(files.key)),
        *("--tokens", tokens, "--audit-log", str(audit), "--metrics-port", "0", "--metrics-host", "0.0.0.0"),
    )
    probe = next(iter(dlib_kit.probes.values()))
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(probe)
    with serving_process(*dlib_kit.args, *flags, env=dlib_kit.env) as running:
        port = running.address[1]
        assert "nobody can ask" in running.stderr
        assert "every machine that reaches it can read them" in running.stderr
        made = run("scripts/tokens.py", "create", "kiosk", "--may", "identify", "--tokens", tokens, env=dlib_kit.env)
        token = made.stdout.strip()
        asked = run(
            *("client_app.py", str(photo), "--host", f"facewires://localhost:{port}", "--ca", str(files.ca)),
            env=dlib_kit.env | {"FACEWIRE_TOKEN": token},
        )
        assert asked.returncode == 0, asked.stderr
        with FaceClient("127.0.0.1", port, tls=Tls(files.ca), token=token, timeout=PATIENCE_S) as kiosk:
            with pytest.raises(Forbidden):
                kiosk.people()
            before = ssl.get_server_certificate(("localhost", port))
            authority.sign("localhost", "127.0.0.1")
            running.process.send_signal(signal.SIGHUP)
            assert eventually(lambda: ssl.get_server_certificate(("localhost", port)) != before)
            kiosk.identify(probe)
            run("scripts/tokens.py", "revoke", "kiosk", "--tokens", tokens, env=dlib_kit.env)
            with pytest.raises(Unauthorized):
                kiosk.identify(probe)
        ended, _ = running.stop()
    assert ended.code == 0
    assert token not in ended.stderr
    lines = [json.loads(line) for line in audit.read_text().splitlines()]
    assert [(line["op"], line["token"], line["outcome"]) for line in lines] == [("identify", "kiosk", "ok")] * 2


def test_hangups_neither_hide_the_end_nor_cut_it_off(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.synthetic_app", "--db", str(tmp_path / "people.db"), "--port", "0",
         "--tokens", str(tmp_path / "tokens.json")],
        cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith(READY)
            process.send_signal(signal.SIGHUP)
            process.send_signal(signal.SIGTERM)
            while process.poll() is None:
                process.send_signal(signal.SIGHUP)
                time.sleep(0.001)
            _, said = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
    assert process.returncode == 0, said
    assert said.rstrip().endswith("stopped")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "photos.example"])
def test_without_tls_it_is_for_this_machine_only(dlib_kit: Kit, host: str) -> None:
    ended = run_to_its_end(*dlib_kit.args, "--host", host, env=dlib_kit.env)
    assert ended.code == 2
    (line,) = ended.lines
    assert "--tls-cert" in line and "--insecure" in line


@pytest.mark.parametrize(
    "flags",
    [("--tls-cert", "missing.pem", "--tls-key", "missing.key"), ("--client-ca", "ca.pem"), ("--tokens", "/dev")],
)
def test_files_that_can_not_be_used(dlib_kit: Kit, flags: tuple[str, ...]) -> None:
    ended = run_to_its_end(*dlib_kit.args, *flags, env=dlib_kit.env)
    assert ended.code in (2, 3)
    (line,) = ended.lines
    assert flags[1] in line or flags[0] in line
