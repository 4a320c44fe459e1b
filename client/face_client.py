"""`FaceClient`: every operation as a method, typed answers, typed errors."""

from __future__ import annotations

import array
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, Self

from facewire.client.album_client import AlbumClient
from facewire.client.errors import ServerRefused, TooLarge
from facewire.client.pictures import TooManyBytes, read_picture
from facewire.client.tls import Tls
from facewire.client.transport import OnProgress, ServerTransport, Transport
from facewire.protocol.address import DEFAULT_PORT, Address, names_addresses, parse_addresses
from facewire.protocol.errors import ErrorCode
from facewire.protocol.framing import DEFAULT_MAX_FRAME
from facewire.protocol.gallery_messages import (
    Acceptable,
    Changed,
    Enrol,
    Enrolled,
    Erase,
    Erased,
    History,
    HistoryListed,
    Merge,
    People,
    PeopleListed,
    PersonEntry,
    PersonShown,
    Remove,
    Rename,
    Show,
    Split,
    TemplateEntry,
    Undo,
    Undone,
)
from facewire.protocol.messages import (
    Detect,
    Detected,
    Embed,
    Embedded,
    EmbeddedFace,
    Health,
    HealthReport,
    Identified,
    Identify,
    PersonVerified,
    Ping,
    Pong,
    Recipe,
    Stats,
    StatsReport,
    Verified,
    Verify,
    VerifyPerson,
)
from facewire.protocol.schema import A, Asks
from facewire.protocol.videos import IdentifyVideo, VideoIdentified

DEFAULT_HOST = "127.0.0.1"
DEFAULT_TIMEOUT_S = 30.0  # a busy server answers `busy` long before; a picture takes well under a second


class FaceClient:
    """A facewire server, or one of several with the same gallery, as a context manager; may be shared by threads, which
    then share its connection.

    Pictures are the bytes of files of any format in protocol/formats.py. It connects at the first request, and again
    after the connection was lost. Where the server closed one that was silent just as something was asked, and says
    that it has not begun it, it asks once more on a new connection, whatever the operation.

    Of several servers it asks one, and goes on to the next when it can't connect, loses it, or hears nothing from it
    for `timeout` seconds. It asks again what is `repeatable` (protocol/schema.py) or was not begun; a change whose
    answer was lost raises ConnectionLost. Every operation raises ClientError: ServerRefused for an error that the
    server answered, ServerTimeout, ConnectionLost, BadAnswer.
    """

    def __init__(
        self,
        host: str | Sequence[str] = DEFAULT_HOST,
        port: int = DEFAULT_PORT,
        *,
        timeout: float = DEFAULT_TIMEOUT_S,
        token: str | None = None,
        tls: Tls | None = None,
        max_frame: int = DEFAULT_MAX_FRAME,
        retries: int = 0,
        transport: Transport | None = None,
    ) -> None:
        """`host`: also facewire://HOST:PORT or facewires://HOST:PORT, the second for TLS; several of them in a
        sequence, or with commas between them; `tls`: TLS with these certificates; `timeout`: seconds of silence, with
        neither the answer nor news of its progress; `max_frame`: the server's limit, in bytes; `retries`: how often to
        ask again, after the wait that it asks for, when the server is busy, and what is `repeatable` when its
        connection was lost (three times at most); `transport`: carries the requests instead of a connection to `host`.
        Raises ValueError for an invalid address."""
        if isinstance(host, str) and not names_addresses(host):
            addresses: tuple[Address, ...] = (Address(host, port),)
        else:
            addresses = parse_addresses(host, port)
        if tls is None and addresses[0].tls:
            tls = Tls()
        self._transport = transport or ServerTransport(
            addresses, tls=tls, timeout=timeout, token=token, max_frame=max_frame, retries=retries
        )

    def connect(self) -> Self:
        """Connects now, rather than with the first request. Raises CannotConnect, and Unauthorized for the token."""
        self._transport.connect()
        return self

    def close(self) -> None:
        """Ends the connection; requests under way in other threads fail with ConnectionLost. Harmless when repeated."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self.connect()

    def __exit__(self, *error: object) -> None:
        self.close()

    def ask(self, body: Asks[A], on_progress: OnProgress | None = None) -> A:
        """The answer to any request; `on_progress` is called in this thread, while it waits."""
        return self._transport.ask(body, on_progress)

    @property
    def albums(self) -> AlbumClient:
        """Every operation on albums, over this connection."""
        return AlbumClient(self._transport)

    # ------------------------------------------------------------------------------------------ pictures

    def identify(self, image: bytes, *, k: int = 1, emotion: bool = True) -> Identified:
        """Who is in this picture? `k`: candidates per face."""
        return self.ask(Identify(image, k, emotion))

    def identify_file(self, path: Path | str, *, k: int = 1, emotion: bool = True) -> Identified:
        """`identify` the picture in a file, without the film of a motion photo where that is too large to be sent.

        Raises OSError when it can't be read, TooLarge.
        """
        try:
            picture = read_picture(Path(path))
        except TooManyBytes as error:
            raise TooLarge(ErrorCode.TOO_LARGE, str(error)) from error
        return self.identify(picture, k=k, emotion=emotion)

    def identify_many(
        self, images: Iterable[bytes], *, window: int = 16, k: int = 1, emotion: bool = True
    ) -> Iterator[Identified | ServerRefused]:
        """The answers in the pictures' order, up to `window` of them under way at once.

        A picture that the server refuses gives its error in its place; ClientErrors that concern all are raised.
        """
        return self._transport.ask_many((Identify(image, k, emotion) for image in images), window=window)

    def identify_video(self, video: bytes, *, k: int = 1, on_progress: OnProgress | None = None) -> VideoIdentified:
        """Who is in this video, and when? `k`: candidates per person; `on_progress` hears the seconds looked at."""
        return self.ask(IdentifyVideo(video, k), on_progress)

    def detect(self, image: bytes) -> Detected:
        """Where are the faces?"""
        return self.ask(Detect(image))

    def embed(self, image: bytes, *, recipe: Recipe = "own") -> Embedded:
        """The faces' embeddings; `embedding_values` reads them. `recipe`: made as DeepFace makes them, for comparison
        with its own."""
        return self.ask(Embed(image, recipe))

    def verify(
        self,
        image: bytes,
        other: bytes,
        *,
        fmr: float | None = None,
        at: tuple[float, float] | None = None,
        other_at: tuple[float, float] | None = None,
    ) -> Verified:
        """Do two pictures show the same person? Of several faces the largest central one counts, or the one at a point.

        `fmr`: how often two different people may be called the same; by default as the server is set.
        """
        return self.ask(Verify(image, other, fmr, at, other_at))

    def verify_person(
        self, name: str, image: bytes, *, fmr: float | None = None, at: tuple[float, float] | None = None
    ) -> PersonVerified:
        """Is this the enrolled person of that name? `at`, `fmr`: as for `verify`; `fmr`: of a stranger."""
        return self.ask(VerifyPerson(name, image, fmr, at))

    def ping(self) -> Pong:
        """Is the server there?"""
        return self.ask(Ping())

    def health(self) -> HealthReport:
        """Can the server do its work? It runs one real inference."""
        return self.ask(Health())

    def stats(self) -> StatsReport:
        """The server's counters."""
        return self.ask(Stats())

    # ------------------------------------------------------------------------------------------ the gallery
    #
    # A change is on the server's disk, and in force for every client, when its method returns. A name that nobody has
    # raises UnknownPerson, one that is taken AlreadyExists. After ConnectionLost or ServerTimeout a change may or may
    # not have been made: `history` tells.

    def enrol(
        self,
        name: str,
        image: bytes,
        *,
        label: str | None = None,
        several: Literal["refuse", "main"] = "refuse",
        at: tuple[float, float] | None = None,
        accept: Sequence[Acceptable] = (),
    ) -> Enrolled:
        """Add a picture to a person, who is added if unknown.

        `label`: what matches show as the picture; of several faces `at` is a point in the one that is meant, and
        `several="main"` takes the largest central one; `accept`: reasons not to refuse it for, "all" for none. Raises
        InvalidImage, NoFace, SeveralFaces or NotEnrolled, which says the reasons with their numbers. A picture that
        the person has already comes back in `rejected`.
        """
        labels = () if label is None else (label,)
        return self.ask(Enrol(name, image=image, labels=labels, several=several, at=at, accept=tuple(accept)))

    def enrol_many(
        self,
        name: str,
        images: Sequence[bytes],
        *,
        labels: Sequence[str] = (),
        several: Literal["refuse", "main"] = "refuse",
        accept: Sequence[Acceptable] = (),
        points: Sequence[tuple[float, float]] = (),
    ) -> Enrolled:
        """Add pictures to a person in one change: those that can be enrolled are, `rejected` says why others not.

        `accept`: as for `enrol`; `points`: one in the face that is meant of each picture, or none.
        """
        request = Enrol(
            name,
            images=tuple(images),
            labels=tuple(labels),
            several=several,
            accept=tuple(accept),
            points=tuple(points),
        )
        return self.ask(request)

    def people(self, offset: int = 0, limit: int | None = None, *, contains: str = "") -> PeopleListed:
        """One page of the enrolled people, by name; `limit`: at most this many (the protocol's MAX_PAGE if None);
        `contains`: only those whose name has this in it, in any case."""
        return self.ask(People(offset, contains=contains) if limit is None else People(offset, limit, contains))

    def all_people(self, contains: str = "") -> Iterator[PersonEntry]:
        """Every enrolled person, page by page."""
        offset = 0
        while page := self.people(offset, contains=contains).people:
            yield from page
            offset += len(page)

    def show(self, name: str, offset: int = 0, limit: int | None = None, *, crops: bool = True) -> PersonShown:
        """A person and a page of their templates; `crops`: with small pictures of the faces."""
        return self.ask(Show(name, offset, crops=crops) if limit is None else Show(name, offset, limit, crops))

    def template(self, name: str, template: int, *, crops: bool = True) -> PersonShown:
        """The template with that number, and whoever has it by now; `name`: whose it was when it was last seen."""
        return self.ask(Show(name, crops=crops, template=template))

    def all_templates(self, name: str, *, crops: bool = True) -> Iterator[TemplateEntry]:
        """Every template of a person, page by page."""
        offset = 0
        while page := self.show(name, offset, crops=crops).templates:
            yield from page
            offset += len(page)

    def rename(self, name: str, to: str) -> Changed:
        """Rename a person."""
        return self.ask(Rename(name, to))

    def merge(self, names: Sequence[str], into: str) -> Changed:
        """Merge people into `into`, who gets all their templates; their names disappear."""
        return self.ask(Merge(tuple(names), into))

    def split(self, name: str, templates: Sequence[int], to: str) -> Changed:
        """Move templates of `name` to another person, who is added if unknown."""
        return self.ask(Split(name, tuple(templates), to))

    def remove(self, name: str, templates: Sequence[int] = ()) -> Changed:
        """Remove templates of a person, or without any the person; `undo` brings them back."""
        return self.ask(Remove(name, tuple(templates)))

    def erase(self, name: str) -> Erased:
        """Remove a person for good, with everything that was kept of them; nothing before it can be undone then."""
        return self.ask(Erase(name))

    def undo(self, count: int = 1, *, last: int | None = None) -> Undone:
        """Take back the last changes; with `last`, only if that is still the number of the last one (else Conflict)."""
        return self.ask(Undo(count, last))

    def history(self, limit: int | None = None, *, before: int | None = None, name: str | None = None) -> HistoryListed:
        """The journal, newest first; `before`: only events of lower numbers; `name`: only those about that person."""
        return self.ask(History(before=before, name=name) if limit is None else History(limit, before, name))


def embedding_values(face: EmbeddedFace) -> array.array[float]:
    """The embedding's numbers, as float32; `numpy.frombuffer(face.embedding, "<f4")` gives the same as an array."""
    values = array.array("f", face.embedding)
    if sys.byteorder == "big":
        values.byteswap()
    return values
