"""The composition root: builds every component in order, serves, and closes them in reverse order."""

from __future__ import annotations

import ipaddress
import logging
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import cv2

from facewire.protocol.text import counted, counted_people, printable_lines
from facewire.server.albums.database import AlbumsUnavailable
from facewire.server.albums.service import AlbumService
from facewire.server.errors import StartError, StorageFailed
from facewire.server.gallery.opening import open_gallery
from facewire.server.gallery.protocol import Gallery
from facewire.server.logs import log_to_stderr
from facewire.server.recognition.calibration import Calibration
from facewire.server.recognition.curator import Curator
from facewire.server.recognition.decision import Decider
from facewire.server.recognition.impostors import DEFAULT_FMR
from facewire.server.recognition.judge import Judge
from facewire.server.recognition.recogniser import Recogniser
from facewire.server.settings import Settings, parse
from facewire.server.spec import EmbeddingSpec
from facewire.server.storage import storage_errors
from facewire.server.tcp.dispatch import Dispatcher, Handlers
from facewire.server.tcp.listener import Listener
from facewire.server.tcp.metrics import Counts
from facewire.server.vision.analyser import Analyser
from facewire.server.vision.models import model_card
from facewire.server.vision.opening import VisionSettings, hint_of_better_weights, open_analyser
from facewire.server.vision.serving import ServingEngine

log = logging.getLogger("facewire")

STOP_GRACE_S = 4.5  # of the promised 5 s; the rest is for the interpreter to exit
_INTERRUPTED = 130  # the shell's convention for Ctrl-C


@dataclass(frozen=True, slots=True)
class Recognition:
    """The components that serve one gallery, as the dispatcher expects them."""

    analyser: ServingEngine
    gallery: Gallery
    judge: Judge
    recogniser: Recogniser
    curator: Curator

    @property
    def computing(self) -> Handlers:
        """Handlers for CPU-bound requests, by request type; each also receives the `Asker` that waits for the
        answer."""
        return {**self.recogniser.computing, **self.curator.computing}

    @property
    def handlers(self) -> Handlers:
        """Handlers for all other requests, by request type."""
        return {**self.recogniser.handlers, **self.curator.handlers}

    def counts(self) -> Counts:
        """Forwards to the recogniser."""
        return self.recogniser.counts()


def main(argv: Sequence[str] | None = None) -> int:
    """`python server_app.py ...`; returns the exit code."""
    settings = parse(sys.argv[1:] if argv is None else argv)
    log_to_stderr(settings.log_level)
    try:
        with ExitStack() as open_things:
            listener = build(settings, open_things)
            with _stop_signals() as stop_asked:
                _warn_if_public(settings)
                listener.start()
                print(f"listening on {listener.address[0]}:{listener.address[1]}", flush=True)
                stop_asked.recv(1)
                log.info("stopping: finishing what is under way")
                listener.stop(STOP_GRACE_S)
    except StartError as error:
        print(printable_lines(f"server_app.py: {error}"), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("server_app.py: stopped before it was ready", file=sys.stderr)
        return _INTERRUPTED
    log.info("stopped")
    return 0


def build(settings: Settings, open_things: ExitStack) -> Listener:
    """A listener, not yet started, with everything it serves; `open_things` closes it all in reverse order. Raises
    StartError."""
    begun = time.perf_counter()
    cv2.setNumThreads(1)  # requests run in parallel, so OpenCV's own threads would only compete for cores
    # Failures raise exceptions; OpenCV's own log lines would clutter ours.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    recognition = open_recognition(
        settings.db, settings.model, settings.vision, settings.fpir, open_things, fmr=settings.fmr
    )
    counts = recognition.counts()
    log.info(
        "%s of %s with %s, %s; ready in %.1f s",
        settings.db, recognition.gallery.spec.model, counted_people(counts.people),
        counted(counts.templates, "template"), time.perf_counter() - begun,
    )  # fmt: skip
    albums = open_albums(recognition, settings, open_things)
    dispatcher = Dispatcher(recognition, token=settings.token, albums=albums)
    return Listener(dispatcher, settings.host, settings.port, limits=settings.tcp)


def open_albums(recognition: Recognition, settings: Settings, open_things: ExitStack) -> AlbumService | None:
    """The album service, sharing the gallery's networks and decision thresholds; `open_things` closes it.

    None if the albums folder is unusable (another server holds it, or the disk is read-only) and was not explicitly
    configured. If it was: StartError.
    """
    try:
        with storage_errors(settings.albums.root):
            albums = AlbumService(
                settings.albums,
                recognition.analyser,
                recognition.judge,
                recognition.curator.enrol,
                recognition.gallery.cohort,
            )
    except (AlbumsUnavailable, StorageFailed) as error:
        if settings.albums.required:
            raise StartError(str(error)) from error
        log.warning("going on without albums: %s", error)
        return None
    open_things.callback(albums.close)
    recognition.recogniser.watch_over(albums.trouble)
    return albums


def open_recognition(
    db: Path,
    model: str | None,
    vision: VisionSettings,
    fpir: float,
    open_things: ExitStack,
    *,
    fmr: float = DEFAULT_FMR,
) -> Recognition:
    """Everything that serves a gallery, with networks loaded and warmed up; `open_things` closes it. Raises
    StartError."""
    gallery = open_gallery(db)
    open_things.callback(gallery.close)
    gallery.watch()
    check_model_choice(model, gallery.spec, str(db))
    analyser = open_analyser(replace(vision, model=gallery.spec.model))
    open_things.callback(analyser.close)
    check_weights(analyser, gallery.spec, str(db))
    analyser.warm_up()
    if gallery.cohort is None:
        log.info("no cohort of %s: error rates differ between groups of people (docs/accuracy.md)", gallery.spec.model)
    if hint := hint_of_better_weights(gallery.spec, vision, db):
        log.info("%s", hint)
    return compose(analyser, gallery, fpir, fmr=fmr, runtime=vision.runtime)


def compose(
    analyser: ServingEngine, gallery: Gallery, fpir: float, *, fmr: float = DEFAULT_FMR, runtime: str
) -> Recognition:
    """Wires the judge, recogniser and curator for an open gallery. Raises ModelMismatch if the gallery's embeddings are
    not the analyser's."""
    decider = Decider(gallery.spec, fpir, fmr=fmr, normalised=gallery.cohort is not None)
    judge = Judge(gallery, decider, Calibration(gallery, decider.prior))
    recogniser = Recogniser(analyser, gallery, judge, runtime=runtime)
    return Recognition(analyser, gallery, judge, recogniser, Curator(analyser, gallery, judge))


def check_model_choice(asked: str | None, spec: EmbeddingSpec, db: str) -> None:
    """Raises StartError (exit code 2) if a model was requested and the gallery was built with a different one."""
    if asked is not None and model_card(asked).name != spec.model:
        raise StartError(
            f"{db} was built with {spec.model}, not {model_card(asked).name}: leave --model out, or build a database "
            f"for it with python scripts/create_db.py FOLDER --model {model_card(asked).name} --db OTHER.db",
            exit_code=2,
        )


def check_weights(analyser: Analyser, spec: EmbeddingSpec, db: str) -> None:
    """Raises StartError (exit code 2) if the weights found are not the ones the gallery was built with."""
    if analyser.spec != spec:
        raise StartError(
            f"{db} was built with other weights of {spec.model} (sha256 {spec.weights_sha256[:12]}..., here "
            f"{analyser.spec.weights_sha256[:12]}...) or fed them differently: name the right --weights-dir, or build "
            "the database again with python scripts/create_db.py FOLDER --rebuild",
            exit_code=2,
        )


def _warn_if_public(settings: Settings) -> None:
    try:
        private = ipaddress.ip_address(settings.host).is_loopback
    except ValueError:
        private = settings.host == "localhost"
    if not private:
        log.warning(
            "listening on %s: every machine that reaches it can ask who is in a picture, unencrypted%s",
            settings.host,
            "" if settings.token else ", and without a token (set FACEWIRE_TOKEN to ask for one)",
        )


@contextmanager
def _stop_signals() -> Iterator[socket.socket]:
    """A socket that becomes readable on SIGINT or SIGTERM.

    The handlers do nothing: stopping takes locks that the interrupted thread might hold, so it must not run in a signal
    handler.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    wakeup = signal.set_wakeup_fd(writer.fileno())
    try:
        yield reader
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        reader.close()
        writer.close()
