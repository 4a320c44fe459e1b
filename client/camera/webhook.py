"""`--webhook URL`: every event is POSTed as JSON, signed, until it is taken."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import sqlite3
import ssl
import threading
import time
import uuid
from urllib.parse import SplitResult, urlsplit

from facewire.client.camera.events import Event, Situation
from facewire.client.camera.outbox import Outbox
from facewire.client.camera.sinks import CLOSING_S, Say

_TIMEOUT_S = 10.0  # of connecting, and of each silence
_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 60.0
_REFUSED = (400, 410, 413, 415, 422)  # what is sent again is refused again
_READ = 65536  # bytes of an answer; the rest doesn't matter


class BadUrl(ValueError):
    """No URL that a webhook can have."""


class Webhook:
    """Sends what is in an outbox, in order, from a thread of its own. Redirects are not followed."""

    def __init__(self, url: str, secret: str, outbox: Outbox, say: Say) -> None:
        """Raises BadUrl. The URL may hold a key, so only its host is ever said."""
        self._url = _checked(url)
        self._secret = secret.encode()
        self._outbox = outbox
        self._say = say
        self._name = f"webhook {self._url.hostname}"
        self._news = threading.Event()
        self._ended = threading.Event()
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="facewire-camera-webhook", daemon=True)
        self._thread.start()

    def take(self, event: Event) -> None:
        """Writes it into the outbox."""
        body = json.dumps({"id": str(uuid.uuid4()), **event.plain(crop=True)}).encode()
        try:
            if self._outbox.add(body):
                self._say(f"{self._name}: too many events are waiting, so the oldest are dropped")
        except sqlite3.Error as error:
            self._say(f"{self._name}: can't keep an event: {error}")
        self._news.set()

    def situation(self, situation: Situation) -> None:
        """Events say it all."""

    def close(self) -> None:
        """Sends for a few seconds more; what is left goes out after the next start."""
        self._ended.set()
        self._news.set()
        self._thread.join(CLOSING_S)
        if not self._thread.is_alive():
            self._outbox.close()

    def _run(self) -> None:
        wait = _FIRST_WAIT_S
        while True:
            self._news.clear()
            first = self._outbox.first()
            if first is None:
                if self._ended.is_set():
                    return
                self._news.wait()
                continue
            number, body = first
            problem, again = self._post(body)
            if problem is None or not again:
                self._outbox.done(number)
                wait = _FIRST_WAIT_S
            self._tell(problem, again)
            if problem is not None and again:
                if self._ended.wait(wait):
                    return
                wait = min(2 * wait, _LONGEST_WAIT_S)

    def _tell(self, problem: str | None, again: bool) -> None:
        if problem is None:
            if self._failing:
                self._say(f"{self._name}: takes events again")
            self._failing = False
        elif not again:
            self._say(f"{self._name}: rejected an event, which is dropped ({problem})")
        elif not self._failing:
            self._failing = True
            self._say(f"{self._name}: {problem}; trying again, {len(self._outbox)} waiting")

    def _post(self, body: bytes) -> tuple[str | None, bool]:
        """What went wrong, if anything did, and whether to try again."""
        stamp = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "X-Facewire-Timestamp": stamp,
            "X-Facewire-Signature": signature(self._secret, stamp, body),
        }
        connection = _connection(self._url)
        try:
            connection.request("POST", _target(self._url), body, headers)
            answer = connection.getresponse()
            answer.read(_READ)
        except TimeoutError:
            return "doesn't answer in time", True
        except (OSError, http.client.HTTPException) as error:
            return getattr(error, "strerror", None) or type(error).__name__, True
        finally:
            connection.close()
        if 200 <= answer.status < 300:
            return None, False
        return f"answers {answer.status}", answer.status not in _REFUSED


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """HMAC-SHA256 of the timestamp, a full stop and the body, as `sha256=HEX`."""
    return "sha256=" + hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port_fits = parts.port != 0
    except ValueError:
        port_fits = False
    if not port_fits or parts.scheme not in ("http", "https") or not parts.hostname or not url.isprintable():
        raise BadUrl("--webhook takes an http:// or https:// URL")
    if " " in url or parts.username is not None:
        raise BadUrl("--webhook takes a URL without spaces, user or password; the signature identifies the sender")
    return parts


def _connection(url: SplitResult) -> http.client.HTTPConnection:
    assert url.hostname is not None
    if url.scheme == "https":
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(url.hostname, url.port, timeout=_TIMEOUT_S, context=context)
    return http.client.HTTPConnection(url.hostname, url.port, timeout=_TIMEOUT_S)


def _target(url: SplitResult) -> str:
    return (url.path or "/") + (f"?{url.query}" if url.query else "")
