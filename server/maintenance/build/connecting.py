"""Starts Ray on this machine, or joins a cluster, for the time of a build. The only module that imports it
(docs/decisions/0071)."""

from __future__ import annotations

import os
import secrets
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from facewire.server.cores import cores
from facewire.server.errors import StartError
from facewire.server.maintenance.build.cluster import Cluster, first_line
from facewire.server.maintenance.build.worker import Job

LOCAL = "local"

CONNECT_S = 5.0
OBJECT_STORE = 128 << 20  # bytes; answers are some hundred KB


@contextmanager
def reading_on(where: str, job: Job) -> Iterator[Cluster]:
    """Workers on this machine ("local"), or on the cluster at an address. Raises StartError.

    What was started is ended at the end, also after Ctrl-C.
    """
    _configure(where)
    try:
        import ray
        import ray.exceptions
        import ray.util.scheduling_strategies
    except ModuleNotFoundError as error:
        raise StartError(
            f"--ray needs Ray: {sys.executable} -m pip install -r requirements-cluster.txt, or 'facewire[ray]'",
            exit_code=2,
        ) from error
    with ExitStack() as started:
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "CRITICAL"}
        if where == LOCAL:
            room = started.enter_context(_room())
            options |= {"num_cpus": cores(), "object_store_memory": OBJECT_STORE, "_temp_dir": room}
            # Ray makes its workers give way to everybody else on the machine, which a build without Ray doesn't.
            options["_system_config"] = {"worker_niceness": 0}
        else:
            _knock(where)
        started.callback(ray.shutdown)
        try:
            ray.init(where, include_dashboard=False if where == LOCAL else None, **options)
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise StartError(
                f"Ray at {where}: {first_line(error)}. It must be of this version ({ray.__version__}), this machine"
                " must be one of its nodes, and if it asks for a token, $RAY_AUTH_TOKEN must have it"
            ) from error
        cluster = None
        try:
            cluster = Cluster(ray, job)
            yield cluster
        finally:
            if cluster is not None:
                cluster.close()


def _configure(where: str) -> None:
    """Ray reads the environment once, when it is imported, and hands it on to what it starts. This command has no other
    threads yet."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # else it reports its use to its makers
    if where == LOCAL:
        # Ray listens on all of the machine's addresses, and runs the code of everybody who reaches it. With a token of
        # our own it also leaves ~/.ray/auth_token alone, which is other clusters'.
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def _room() -> tempfile.TemporaryDirectory[str]:
    """For Ray's sockets and logs: readable by this user only, and gone at the end. Ray adds 63 characters to the names
    of sockets, which may have 107."""
    longest = 25
    where = tempfile.gettempdir()
    return tempfile.TemporaryDirectory(
        prefix="facewire-", dir=where if len(where) <= longest else "/tmp", ignore_cleanup_errors=True
    )


_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))  # RFC 9113, 3.4: and empty settings


def _knock(where: str) -> None:
    """Raises StartError if nothing that speaks gRPC listens there: Ray itself would try for two minutes."""
    host, _, port = where.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), CONNECT_S) as connection:
            connection.sendall(_HELLO)
            answer = connection.recv(9)
    except OSError as error:
        raise StartError(
            f"no Ray cluster answers at {where} ({error.strerror or error}): start its head with `ray start --head"
            f" --port {port}`, and give --ray the address that it prints"
        ) from error
    if answer[3:4] != b"\x04":  # a server begins with its settings
        raise StartError(f"what answers at {where} is not Ray: give --ray the address that `ray start --head` prints")
