"""The composition root: builds every component in order, serves, and closes them in reverse order."""

from __future__ import annotations

import ipaddress
import logging
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2

from facewire.protocol import memory
from facewire.protocol.command_names import as_called
from facewire.protocol.text import counted, counted_people, printable_lines
from facewire.server.access.audit import AuditLog
from facewire.server.access.gate import Gate
from facewire.server.access.token_file import TokenFile
from facewire.server.albums.database import AlbumsUnavailable
from facewire.server.albums.grouping import grouping, scale_for
from facewire.server.albums.service import AlbumService
from facewire.server.errors import Busy, StartError, StorageFailed
from facewire.server.gallery.address import Database
from facewire.server.gallery.opening import open_gallery
from facewire.server.gallery.protocol import Gallery
from facewire.server.heap import Trimming
from facewire.server.logs import log_to_stderr
from facewire.server.measures import NOT_MEASURED, Measures
from facewire.server.recognition.calibration import Calibration
from facewire.server.recognition.curator import Curator
from facewire.server.recognition.decision import Decider, Judge
from facewire.server.recognition.impostors import DEFAULT_FMR
from facewire.server.recognition.recogniser import Recogniser
from facewire.server.recognition.videos import Videos
from facewire.server.settings import FIRST_PERSON, Settings, parse
from facewire.server.spec import EmbeddingSpec
from facewire.server.storage import storage_errors
from facewire.server.systemd import Supervisor
from facewire.server.tcp.certificates import Certificates, open_certificates
from facewire.server.tcp.dispatch import Dispatcher, Handlers
from facewire.server.tcp.listener import Listener
from facewire.server.tcp.metrics import Counts, Metrics
from facewire.server.vision.decoding.decoder import Decoder
from facewire.server.vision.decoding.films import MISSING, videos_are_read
from facewire.server.vision.models import model_card
from facewire.server.vision.opening import VisionSettings, hint_of_better_weights, open_analyser
from facewire.server.vision.serving import ServingEngine

if TYPE_CHECKING:
    from facewire.server.exporter import Exporter

log = logging.getLogger("facewire")

STOP_GRACE_S = 4.5  # of the promised 5 s; the rest is for the interpreter to exit
_RELOAD = signal.SIGHUP
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


OpenEngine = Callable[[VisionSettings, Measures], ServingEngine]
"""Opens what finds and embeds faces, with networks loaded and warmed up. Raises StartError."""


def open_engine(vision: VisionSettings, measures: Measures, decoder: Decoder | None = None) -> ServingEngine:
    """The real one; it closes `decoder`, see `open_analyser`."""
    analyser = open_analyser(vision, measures, decoder)
    try:
        analyser.warm_up()
    except BaseException:
        analyser.close()
        raise
    return analyser


def main(argv: Sequence[str] | None = None, *, opening: OpenEngine = open_engine) -> int:
    """`python server_app.py ...`, but for its head start (`start.py`); returns the exit code."""
    settings = parse(sys.argv[1:] if argv is None else argv)
    log_to_stderr(settings.log_level, written=settings.log_format)
    return serve(settings, opening=opening)


def serve(settings: Settings, *, opening: OpenEngine = open_engine) -> int:
    """Serves until a signal ends it; returns the exit code."""
    supervisor = Supervisor()
    try:
        with ExitStack() as open_things:
            check_exposure(settings)
            certificates = open_certificates(settings.tls)
            listener = build(settings, open_things, opening=opening, certificates=certificates)
            terminal = sys.stderr.isatty()  # which SIGHUP says is gone, if it is
            with _signals() as (heard, ends):
                listener.start()
                print(f"listening on {listener.address[0]}:{listener.address[1]}", flush=True)
                supervisor.ready()
                while supervisor.wait(heard) == _RELOAD and not ends and sys.stderr.isatty() == terminal:
                    # Files of tokens and the audit log need no signal: they are looked at all the time.
                    if certificates is not None:
                        certificates.read_again()
                supervisor.stopping()
                log.info("stopping: finishing requests in progress")
                listener.stop(STOP_GRACE_S)
    except StartError as error:
        print(as_called(printable_lines(f"server_app.py: {error}")), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(as_called("server_app.py: stopped before it was ready"), file=sys.stderr)
        return _INTERRUPTED
    log.info("stopped")
    return 0


def build(
    settings: Settings,
    open_things: ExitStack,
    *,
    opening: OpenEngine = open_engine,
    certificates: Certificates | None = None,
) -> Listener:
    """A listener, not yet started, with everything it serves; `open_things` closes it all in reverse order. Raises
    StartError."""
    begun = time.perf_counter()
    memory.give_back()
    open_things.callback(Trimming().close)
    cv2.setNumThreads(1)  # requests run in parallel, so OpenCV's own threads would only compete for cores
    # Failures raise exceptions; OpenCV's own log lines would clutter ours.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    exporter = _exporter(settings)
    measures = exporter.measures if exporter else NOT_MEASURED
    recognition = open_recognition(
        settings.db, settings.model, settings.vision, settings.fpir, open_things,
        fmr=settings.fmr, measures=measures, opening=opening,
    )  # fmt: skip
    counts = recognition.counts()
    log.info(
        "%s of %s with %s, %s; ready in %.1f s",
        settings.db, recognition.gallery.spec.model, counted_people(counts.people),
        counted(counts.templates, "template"), time.perf_counter() - begun,
    )  # fmt: skip
    if not counts.people:
        log.info("nobody is enrolled yet; %s", as_called(FIRST_PERSON))
    albums = open_albums(recognition, settings, open_things)
    audit = None
    if settings.audit_log is not None:
        audit = AuditLog(settings.audit_log)
        open_things.callback(audit.close)
    metrics = Metrics(measures)
    videos = open_videos(recognition, open_things)
    gate = open_gate(settings)
    dispatcher = Dispatcher(recognition, gate=gate, albums=albums, videos=videos, metrics=metrics, audit=audit)
    listener = Listener(dispatcher, settings.host, settings.port, limits=settings.tcp, certificates=certificates)
    if exporter:
        troubles = {"gallery": recognition.gallery.trouble} | ({"albums": albums.trouble} if albums else {})
        serving = exporter.serving(
            settings, listener, metrics,
            engine=recognition.analyser, gallery=recognition.gallery, counts=recognition.counts, troubles=troubles,
        )  # fmt: skip
        log.info("metrics on http://%s:%d/metrics", *open_things.enter_context(serving))
    return listener


def _exporter(settings: Settings) -> Exporter | None:
    if settings.metrics_port is None:
        return None
    from facewire.server.exporter import Exporter

    return Exporter()


def open_gate(settings: Settings) -> Gate:
    """Who is admitted. Raises StartError."""
    file = TokenFile(settings.tokens) if settings.tokens is not None else None
    if file is not None and not file.tokens() and settings.token is None:
        cure = as_called("scripts/tokens.py create NAME")
        log.warning("nobody can ask: %s has no tokens yet (%s makes one)", settings.tokens, cure)
    return Gate(settings.token, file)


def open_albums(recognition: Recognition, settings: Settings, open_things: ExitStack) -> AlbumService | None:
    """The album service, sharing the gallery's networks and decision thresholds; `open_things` closes it.

    None if the albums folder is unusable (another server holds it, or the disk is read-only) and was not explicitly
    configured. If it was: StartError. None with `--no-albums`, too.
    """
    if settings.albums.absent:
        return None
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
        log.warning("continuing without albums: %s", error)
        return None
    open_things.callback(albums.close)
    recognition.recogniser.watch_over(albums.trouble)
    return albums


def open_videos(recognition: Recognition, open_things: ExitStack) -> Videos:
    """What watches videos, sharing the gallery's networks and decision thresholds; `open_things` closes it."""
    if not videos_are_read():
        log.info("%s", MISSING)
    cohort = recognition.gallery.cohort
    group = grouping(cohort, scale_for(cohort, recognition.judge.strangers_exceed))
    videos = Videos(recognition.analyser, recognition.judge, group)
    open_things.callback(videos.close)
    return videos


def open_recognition(
    db: Database,
    model: str | None,
    vision: VisionSettings,
    fpir: float,
    open_things: ExitStack,
    *,
    fmr: float = DEFAULT_FMR,
    measures: Measures = NOT_MEASURED,
    opening: OpenEngine = open_engine,
) -> Recognition:
    """Everything that serves a gallery, with networks loaded and warmed up; `open_things` closes it. Raises
    StartError."""
    gallery = open_gallery(db, vision.cache_dir)
    open_things.callback(gallery.close)
    gallery.watch()
    check_model_choice(model, gallery.spec, str(db))
    analyser = opening(replace(vision, model=gallery.spec.model), measures)
    open_things.callback(analyser.close)
    check_weights(analyser, gallery.spec, str(db))
    if gallery.cohort is None:
        log.info("no cohort of %s: error rates differ between groups of people (docs/accuracy.md)", gallery.spec.model)
    if hint := hint_of_better_weights(gallery.spec, vision, db):
        log.info("%s", hint)
    runtime = f"{vision.runtime} {analyser.precision}"
    try:
        return compose(analyser, gallery, fpir, fmr=fmr, runtime=runtime, measures=measures)
    except (Busy, StorageFailed) as error:
        raise StartError(f"{db} can't be used: {error}") from error


def compose(
    analyser: ServingEngine,
    gallery: Gallery,
    fpir: float,
    *,
    fmr: float = DEFAULT_FMR,
    runtime: str,
    measures: Measures = NOT_MEASURED,
) -> Recognition:
    """Wires the judge, recogniser and curator for an open gallery. Raises ModelMismatch if the gallery's embeddings are
    not the analyser's."""
    decider = Decider(gallery.spec, fpir, fmr=fmr, normalised=gallery.cohort is not None)
    judge = Judge(gallery, decider, Calibration(gallery, decider.prior), measures)
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


def check_weights(analyser: ServingEngine, spec: EmbeddingSpec, db: str) -> None:
    """Raises StartError (exit code 2) if the weights found are not the ones the gallery was built with."""
    if analyser.spec != spec:
        raise StartError(
            f"{db} was built with other weights of {spec.model} (sha256 {spec.weights_sha256[:12]}..., here "
            f"{analyser.spec.weights_sha256[:12]}...) or fed them differently: name the right --weights-dir, or build "
            "the database again with python scripts/create_db.py FOLDER --rebuild",
            exit_code=2,
        )


def check_exposure(settings: Settings) -> None:
    """Warns of what other machines may do here. Raises StartError (exit code 2) where they would have to do it
    unencrypted, unless that was asked for."""
    if settings.metrics_port is not None and not _is_of_this_machine(settings.metrics_host):
        log.warning(
            "metrics on %s: every machine that reaches it can read them, unencrypted and without a token; keep it on"
            " the monitoring network",
            settings.metrics_host,
        )
    encrypted = settings.tls.tls_cert is not None
    if _is_of_this_machine(settings.host):
        return
    if not encrypted and not settings.insecure:
        raise StartError(
            f"{settings.host} can be reached from other machines, and without TLS what they send can be read on its"
            " way: give --tls-cert and --tls-key, or --insecure if the network is trusted",
            exit_code=2,
        )
    guarded = settings.token is not None or settings.tokens is not None
    if not encrypted or not guarded:
        log.warning(
            "listening on %s: every machine that reaches it can ask who is in a picture%s%s",
            settings.host,
            "" if encrypted else ", unencrypted",
            "" if guarded else ", without a token (set FACEWIRE_TOKEN to ask for one, or give --tokens)",
        )


@contextmanager
def _signals() -> Iterator[tuple[socket.socket, list[int]]]:
    """A socket from which the numbers of signals can be read: SIGINT, SIGTERM and SIGHUP. And a list that holds any
    SIGINT or SIGTERM, for which a storm of SIGHUP may leave no room in the socket.

    The handlers do nothing else: stopping takes locks that the interrupted thread might hold, so it must not run in a
    signal handler. From the end of the block on SIGHUP is ignored, as it would cut off the closing of files.
    """
    ends: list[int] = []

    def handle(number: int, _: object) -> None:
        if number != _RELOAD:
            ends.append(number)

    reader, writer = socket.socketpair()
    writer.setblocking(False)
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM, _RELOAD)}
    wakeup = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    try:
        yield reader, ends
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if number == _RELOAD else handler)
        reader.close()
        writer.close()


def _is_of_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
