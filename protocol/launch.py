"""How every command starts and ends: launchers and scripts hand over to `launch` before they import anything slow.

Ctrl-C at any moment ends a command with one line and exit code 130. Without the packages it needs there is one line
that says how to get them, and exit code 2. A reader that goes away early (`| head`) ends it without a word.

Standard library only, and what an old Python can read: it is the first thing that the wrong Python meets.
"""

from __future__ import annotations

import _thread
import os
import sys

# What `signal` is made of: that itself is slow to import, and until a handler is set Ctrl-C prints a traceback
from _signal import (  # type: ignore[import-not-found]
    SIG_IGN,
    SIGINT,
    default_int_handler,
    getsignal,
    signal,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, NoReturn

OLDEST_PYTHON = (3, 11)

_WRONG_PYTHON = 2
_NO_OUTPUT = 3
_INTERRUPTED = 130  # as shells have it: 128 and the signal's number
_READER_GONE = 141

_ROOT = os.path.realpath(__file__ + "/../..")  # of a checkout
_VENV_PYTHON = ".venv/bin/python" if os.name == "posix" else ".venv\\Scripts\\python"


def launch(module: str, requirements: str = "requirements.txt") -> NoReturn:
    """Imports `module`, runs its `main` and exits with what that returns. `requirements`: the file of its packages."""
    ctrl_c = _CtrlC()
    code: Any = 0
    try:
        if sys.version_info < OLDEST_PYTHON:
            raise _WrongPython("this Python is older than " + ".".join(map(str, OLDEST_PYTHON)))
        import importlib

        main = importlib.import_module(module).main
        ctrl_c.raises()
        code = main()
        _flush()
    except SystemExit as asked:
        code = asked.code
    except BaseException as error:  # noqa: BLE001 - raised again unless it is one of those that get a line
        ctrl_c.exits()
        code = _explained(error, ctrl_c.pressed, requirements)
    ctrl_c.exits()
    try:
        _flush()
    except OSError as error:
        code = _explained(error, ctrl_c.pressed, requirements)
    sys.exit(code)


class _WrongPython(Exception):
    """It can't run this project."""


class _CtrlC:
    """What Ctrl-C does: in this order ends the process at once, raises KeyboardInterrupt, ends the process silently.

    While modules are imported nothing is open yet, and not every library lets an exception through there.
    """

    def __init__(self) -> None:
        self.pressed = False
        # A shell's background job ignores Ctrl-C, and goes on doing so.
        self._wanted = getsignal(SIGINT) != SIG_IGN
        self._handle(self._stop_at_once)

    def raises(self) -> None:
        """From here on files are open, and threads run: what uses them puts them in order."""
        self._handle(self._interrupt)
        sys.unraisablehook = self._unraisable

    def exits(self) -> None:
        """The command has ended, and the interpreter waits for its threads."""
        if getsignal(SIGINT) in (self._interrupt, default_int_handler):
            signal(SIGINT, lambda *_: os._exit(_INTERRUPTED))

    def _handle(self, handler: Any) -> None:
        if self._wanted:
            signal(SIGINT, handler)

    def _stop_at_once(self, number: int, frame: FrameType | None) -> None:
        _say("stopped")
        os._exit(_INTERRUPTED)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.pressed = True
        raise KeyboardInterrupt

    def _unraisable(self, what: Any) -> None:
        """Ctrl-C that came while an object was being deleted, where Python would print and forget it."""
        if issubclass(what.exc_type, KeyboardInterrupt):
            _thread.start_new_thread(_press_again, ())
        else:
            sys.__unraisablehook__(what)


def _press_again() -> None:
    """Once the main thread has left the code that can't be interrupted."""
    import time

    time.sleep(0.01)
    _thread.interrupt_main()


def _explained(error: BaseException, interrupted: bool, requirements: str) -> int:
    """The exit code for what ended a command, and a line that says it. Raises what is a mistake of ours again."""
    if isinstance(error, KeyboardInterrupt) or interrupted:  # which some libraries turn into an error of their own
        _say("stopped")
        return _INTERRUPTED
    if isinstance(error, BrokenPipeError) and not _has_reader():
        return _READER_GONE
    if isinstance(error, _WrongPython):
        _say(f"{error} ({sys.executable}): run `make setup`, then {_in_venv()}")
        return _WRONG_PYTHON
    if isinstance(error, ModuleNotFoundError) and _is_missing_package(error.name):
        package = (error.name or "").partition(".")[0]
        if os.path.realpath(sys.prefix) == os.path.realpath(_ROOT + "/.venv"):
            cure = "run " + _VENV_PYTHON + " -m pip install -r " + requirements
        elif os.path.exists(_ROOT + "/Makefile"):  # noqa: PTH110 - pathlib is slow to import
            cure = "run `make setup`, then " + _in_venv()
        else:
            cure = 'run pip install "facewire[server,web]"'
        _say(f"{package} is not installed for this Python ({sys.executable}): {cure}")
        return _WRONG_PYTHON
    if isinstance(error, OSError) and not _can_write():
        _say(f"can't write the output: {error.strerror or error}")
        return _NO_OUTPUT
    raise error


def _is_missing_package(name: str | None) -> bool:
    """Whether a package of others is not installed; a wrong name in an import of ours is something else."""
    from importlib.util import find_spec

    package = (name or "").partition(".")[0]
    return bool(package) and find_spec(package) is None


def _in_venv() -> str:
    return _VENV_PYTHON + " " + os.path.relpath(os.path.realpath(sys.argv[0]), _ROOT)


def _has_reader() -> bool:
    """Whether stdout, and not some other pipe, can be written; if not, what is left to write is dropped."""
    import select

    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(1, 0)
        if not poll.poll(0):  # asked for nothing, it tells of errors
            return True
    # Windows has no poll for pipes: there a broken pipe is taken for stdout's
    _drop_output()
    return False


def _can_write() -> bool:
    try:
        _flush()
    except OSError:
        _drop_output()
        return False
    return True


def _drop_output() -> None:
    """Python would try to write the rest when it exits, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _flush() -> None:
    if sys.stdout is not None:
        sys.stdout.flush()


def _say(line: str) -> None:
    """A line on stderr, past Python's buffers: a signal may have come while they were being written."""
    message = f"{os.path.basename(sys.argv[0])}: {line}\n"  # noqa: PTH119 - pathlib is slow to import
    try:  # noqa: SIM105 - contextlib is slow to import
        os.write(2, message.encode(errors="replace"))
    except OSError:
        pass  # nobody to tell it


# ---- the commands that pip installs


def client() -> NoReturn:
    """`facewire`."""
    launch("facewire.client.cli")


def server() -> NoReturn:
    """`facewire-server`."""
    launch("facewire.server.app")


def web() -> NoReturn:
    """`facewire-web`."""
    launch("facewire.client.web.main", "requirements-web.txt")


def create_db() -> NoReturn:
    """`facewire-create-db`."""
    launch("facewire.server.maintenance.create_db")


def migrate_model() -> NoReturn:
    """`facewire-migrate-model`."""
    launch("facewire.server.maintenance.migrate_model")


def backup() -> NoReturn:
    """`facewire-backup`."""
    launch("facewire.server.maintenance.backup_command")


def identify() -> NoReturn:
    """`facewire-identify`."""
    launch("facewire.scripts.identify")
