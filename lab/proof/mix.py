"""What a client of the soak asks: operations, sizes and formats by chance, one request in twenty a bad one."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Sequence
from itertools import count

import cv2
import numpy as np

from facewire.client import FaceClient
from facewire.client.errors import ClientError, InvalidImage, NoFace, UnknownPerson
from facewire.protocol.framing import encode_frame
from lab.proof.served import FORMATS, picture

BAD = 0.05  # share of bad requests
PATIENCE_S = 120.0
_SCALES = (1, 1, 1, 2, 4, 20)  # 48 to 960 pixels

Asked = Callable[[FaceClient], object]


class Mix:
    """One client's requests: each call gives the next, and the error that is the right answer to it, if any."""

    def __init__(self, number: int, pool: Sequence[bytes], port: int) -> None:
        self._port = port
        self._rng = random.Random(number)
        self._name, self._pool = f"Client {number}", pool
        self._enrolled: list[str] = []
        self._numbers = count()

    def next(self) -> tuple[str, Asked, type[ClientError] | None]:
        """A request's kind, the request, and the error expected."""
        rng = self._rng
        if rng.random() < BAD:
            return rng.choice([self._damaged, self._random, self._faceless, self._nobody])()
        return rng.choices([self._look, self._change, self._list], weights=(80, 8, 12))[0]()

    def _look(self) -> tuple[str, Asked, None]:
        one, other = self._rng.choices(self._pool, k=2)
        what: dict[str, Asked] = {
            "identify": lambda client: client.identify(one, k=3),
            "detect": lambda client: client.detect(one),
            "embed": lambda client: client.embed(one),
            "verify": lambda client: client.verify(one, other),
        }
        kind = self._rng.choices(list(what), weights=(6, 1, 1, 1))[0]
        return kind, what[kind], None

    def _change(self) -> tuple[str, Asked, None]:
        if len(self._enrolled) < 5 or self._rng.random() < 0.4:
            name = f"{self._name} {next(self._numbers)}"
            data = picture(self._rng.randrange(63), shade=self._rng.randrange(1 << 60))
            return "enrol", lambda client: self._enrol(client, name, data), None
        place = self._rng.randrange(len(self._enrolled))
        name = self._enrolled[place]
        if self._rng.random() < 0.3:
            to = f"{self._name} {next(self._numbers)}"
            return "rename", lambda client: self._rename(client, place, to), None
        del self._enrolled[place]
        return "erase", lambda client: client.erase(name), None

    def _enrol(self, client: FaceClient, name: str, data: bytes) -> None:
        client.enrol(name, data, accept=("all",))
        self._enrolled.append(name)  # unless the server was busy

    def _rename(self, client: FaceClient, place: int, to: str) -> None:
        client.rename(self._enrolled[place], to)
        self._enrolled[place] = to

    def _list(self) -> tuple[str, Asked, None]:
        album = f"{self._name} album"
        what: dict[str, Asked] = {
            "people": lambda client: client.people(limit=20),
            "history": lambda client: client.history(limit=20),
            "stats": lambda client: client.stats(),
            "health": lambda client: client.health(),
            "ping": lambda client: client.ping(),
            "album": lambda client: (client.albums.create(album), client.albums.delete(album)),
            "broken frame": lambda _: _broken_frame(self._port),
        }
        kind = self._rng.choice(list(what))
        return kind, what[kind], None

    def _damaged(self) -> tuple[str, Asked, type[ClientError]]:
        data = self._rng.choice(self._pool)
        cut = data[: self._rng.randrange(1, max(2, len(data) // 3))]
        return "bad: cut off", lambda client: client.identify(cut), InvalidImage

    def _random(self) -> tuple[str, Asked, type[ClientError]]:
        data = self._rng.randbytes(self._rng.randrange(1, 20_000))
        return "bad: random bytes", lambda client: client.identify(data), InvalidImage

    def _faceless(self) -> tuple[str, Asked, type[ClientError]]:
        return "bad: no face", lambda client: client.verify(_FACELESS, _FACELESS), NoFace

    def _nobody(self) -> tuple[str, Asked, type[ClientError]]:
        return "bad: nobody", lambda client: client.rename("Nobody", "Somebody"), UnknownPerson


def _faceless_picture() -> bytes:
    return cv2.imencode(".png", np.zeros((48, 48, 3), np.uint8))[1].tobytes()


_FACELESS = _faceless_picture()


def _broken_frame(port: int) -> None:
    """A connection of its own that breaks the protocol, and is told so."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as sock:
        sock.sendall(encode_frame(b"\xc1 is no msgpack"))
        assert sock.recv(1)


def pictures() -> list[bytes]:
    """Files of every format and size, each with a face."""
    return [picture(face, FORMATS[face % len(FORMATS)], scale=_SCALES[face % len(_SCALES)]) for face in range(30)]
