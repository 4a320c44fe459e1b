"""`--draw`: the newest frame with boxes and names, as a stream of JPEGs over HTTP, or in a window."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import urlsplit

_VIEWERS = 8
_TIMEOUT_S = 10.0  # a viewer that takes nothing for so long is gone
_BOUNDARY = "facewire"


class BadView(ValueError):
    """Nothing can be drawn there."""


class View(Protocol):
    """Shows frames; `wanted` tells whether anybody looks, so that none is drawn for nobody."""

    @property
    def wanted(self) -> bool: ...
    def show(self, jpeg: bytes) -> None: ...
    def close(self) -> None: ...


def open_view(where: str) -> View:
    """`window` or http://HOST:PORT. Raises BadView."""
    if where == "window":
        return Window()
    try:
        parts = urlsplit(where)
        port = parts.port
    except ValueError:
        raise BadView("--draw takes `window` or http://127.0.0.1:PORT") from None
    if parts.scheme != "http" or not parts.hostname or port is None or parts.path.strip("/"):
        raise BadView("--draw takes `window` or http://127.0.0.1:PORT")
    try:
        return JpegStream(parts.hostname, port)
    except OSError as error:
        raise BadView(f"--draw {where}: {error.strerror or error}") from error


class JpegStream:
    """An HTTP server for a few browsers. Each gets the newest frame when it has taken the one before."""

    def __init__(self, host: str, port: int) -> None:
        self._changed = threading.Condition()  # guards what follows
        self._newest: tuple[int, bytes] = (0, b"")
        self._viewers = 0
        self._closed = False
        self._server = _Server((host, port), _handler(self, host))
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="facewire-camera-draw", daemon=True)
        self._thread.start()

    @property
    def wanted(self) -> bool:
        with self._changed:
            return self._viewers > 0

    def show(self, jpeg: bytes) -> None:
        with self._changed:
            self._newest = (self._newest[0] + 1, jpeg)
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def enter(self) -> bool:
        """Is there room for one more viewer?"""
        with self._changed:
            if self._viewers >= _VIEWERS:
                return False
            self._viewers += 1
            return True

    def leave(self) -> None:
        with self._changed:
            self._viewers -= 1

    def after(self, number: int) -> tuple[int, bytes] | None:
        """The newest frame, once there is one newer than `number`; None when the program ends."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._newest[0] > number)
            return None if self._closed else self._newest


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A viewer has gone: nobody's concern."""


def _handler(stream: JpegStream, host: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _TIMEOUT_S

        def do_GET(self) -> None:
            # A page elsewhere may let its own name lead to this address, and would read the picture as its own.
            called = urlsplit(f"//{self.headers.get('Host', '')}").hostname
            if called not in (host, "localhost"):
                return self.send_error(403, "unknown host name")
            if not stream.enter():
                return self.send_error(503, "too many viewers")
            try:
                self._stream()
            finally:
                stream.leave()

        def _stream(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            number = 0
            while (newest := stream.after(number)) is not None:
                number, jpeg = newest
                head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                try:
                    self.wfile.write(head.encode() + jpeg + b"\r\n")
                except (ConnectionError, TimeoutError):
                    return
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

        def log_message(self, format: str, *args: Any) -> None:
            """Viewers are not logged."""

    return Handler


class Window:
    """A window of Tk, all of whose calls are in one thread; closing it ends the drawing, not the program."""

    def __init__(self) -> None:
        """Raises BadView where there is no Tk, or no screen."""
        try:
            import tkinter
        except ImportError as error:
            raise BadView("--draw window needs tkinter (Debian: python3-tk)") from error
        self._lock = threading.Lock()  # guards the newest frame
        self._newest: bytes | None = None
        self._open = True
        self._problem: str | None = None
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(tkinter, ready.set), name="facewire-camera-window", daemon=True
        )
        self._thread.start()
        ready.wait()
        if self._problem is not None:
            raise BadView(f"--draw window: {self._problem}")

    @property
    def wanted(self) -> bool:
        return self._open

    def show(self, jpeg: bytes) -> None:
        with self._lock:
            self._newest = jpeg

    def close(self) -> None:
        self._open = False
        self._thread.join(_TIMEOUT_S)

    def _run(self, tkinter: Any, ready: Callable[[], None]) -> None:
        try:
            root = tkinter.Tk()
        except tkinter.TclError as error:
            self._problem = str(error)
            return
        finally:
            ready()
        root.title("facewire")
        label = tkinter.Label(root)
        label.pack()

        def close() -> None:
            self._open = False

        def refresh() -> None:
            if not self._open:
                root.destroy()
                return
            with self._lock:
                jpeg, self._newest = self._newest, None
            if jpeg is not None:
                label.image = tkinter.PhotoImage(data=base64.b64encode(_png(jpeg)))
                label.configure(image=label.image)
            root.after(50, refresh)

        root.protocol("WM_DELETE_WINDOW", close)
        refresh()
        root.mainloop()


def _png(jpeg: bytes) -> bytes:
    """Tk reads no JPEG."""
    import cv2
    import numpy as np

    pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None, "we have made it"
    done, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert done
    return data.tobytes()
