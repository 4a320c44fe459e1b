"""The thin client runs wherever Python does: nothing in client/ or protocol/ needs what only Linux, or Unix, has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

WITHOUT_UNIX = """
import builtins, os, select, signal, sys

# What others import, and use, is their own affair: only facewire is kept from it.
UNIX = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog", "_posixsubprocess", "_posixshmem"}
real = builtins.__import__

def only_anywhere(name, globals=None, locals=None, fromlist=(), level=0):
    importer = (globals or {}).get("__name__", "")
    if importer.partition(".")[0] == "facewire" and name.partition(".")[0] in UNIX:
        raise ModuleNotFoundError(f"{importer} imports {name}", name=name)
    return real(name, globals, locals, fromlist, level)

del os.sched_getaffinity, select.poll
import asyncio, socket, subprocess  # which need some of the rest
for name in ("SIGHUP", "SIGQUIT", "SIGALRM", "SIGUSR1", "SIGUSR2", "SIGKILL", "SIGPIPE"):
    delattr(signal, name)
for name in ("fork", "getuid", "geteuid", "fchmod", "pread", "pwrite", "statvfs", "getpgid", "killpg"):
    delattr(os, name)
builtins.__import__ = only_anywhere
"""

EVERY_MODULE = """
import importlib, pkgutil
import facewire.client, facewire.protocol

found = []
for package in (facewire.protocol, facewire.client):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
        found.append(module.name)
assert {"facewire.protocol.launch", "facewire.client.cli", "facewire.client.web.main"} <= set(found), found
"""


def run(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT_UNIX + code, *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_every_module_of_client_and_protocol_is_imported_without_unix() -> None:
    done = run(EVERY_MODULE)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["fcntl", "resource"])
def test_the_import_is_really_refused(name: str) -> None:
    asked = f"exec('import {name}', {{'__name__': 'facewire.anything', '__builtins__': builtins}})"
    assert f"facewire.anything imports {name}" in run(asked).stderr


def test_a_command_runs_without_unix() -> None:
    done = run("from facewire.client.cli import main; main()", "verify", "--help")
    assert done.returncode == 0, done.stderr
    assert "--other-at" in done.stdout


def test_a_reader_that_goes_away_ends_a_command_quietly_where_there_is_no_poll() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    code = WITHOUT_UNIX + "from facewire.protocol.launch import launch; launch('facewire.client.cli')"
    command = [sys.executable, "-c", code, "--help"]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    try:
        done = subprocess.run(command, cwd=ROOT, env=buffered, stdout=writing, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")
