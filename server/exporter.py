"""Puts the metrics of one server together: what it measures, what is looked at when it is asked, and the page.

Imported only with --metrics-port, as prometheus_client takes a tenth of a second to load.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from facewire.protocol.version import VERSION
from facewire.server.gallery.address import Database
from facewire.server.gallery.protocol import Gallery
from facewire.server.metrics import GalleryNow, PrometheusMeasures, StateCollector, Watched
from facewire.server.metrics_page import serving_metrics
from facewire.server.settings import Settings
from facewire.server.tcp.listener import Listener
from facewire.server.tcp.metrics import Counts, Metrics
from facewire.server.vision.serving import ServingEngine


class Exporter:
    """Hand its `measures` to what works, then serve."""

    def __init__(self) -> None:
        self.measures = PrometheusMeasures()

    def serving(
        self,
        settings: Settings,
        listener: Listener,
        metrics: Metrics,
        *,
        engine: ServingEngine,
        gallery: Gallery,
        counts: Callable[[], Counts],
        troubles: dict[str, Callable[[], str]],
    ) -> AbstractContextManager[tuple[str, int]]:
        """Serves the metrics while the context is open; yields the address. `troubles`: by part, why it is not well, or
        "". Raises StartError."""

        def now() -> GalleryNow:
            held = counts()
            return GalleryNow(held.people, held.templates, gallery.version, held.faces)

        watched = Watched(
            build={
                "version": VERSION,
                "model": gallery.spec.model,
                "runtime": settings.vision.runtime,
                "precision": engine.precision,
            },
            load=listener.load,
            connections=lambda: metrics.open_connections,
            gallery=now,
            troubles=troubles,
            files={**_files(settings.db), "albums": settings.albums.root / "albums.db"},
            decoders=lambda: engine.decoder.pids[0],
            decode_memory=lambda: engine.decoder.memory_used,
        )
        self.measures.registry.register(StateCollector(watched))
        return serving_metrics(self.measures.page(), settings.metrics_host, settings.metrics_port or 0)


def _files(db: Database) -> dict[str, Path]:
    """The gallery's files on this machine, by what they are."""
    if not isinstance(db, Path):
        return {}
    return {
        "gallery": db,
        "gallery_log": db.with_name(f"{db.name}-wal"),
        "gallery_index": db.with_name(f"{db.name}-index"),
    }
