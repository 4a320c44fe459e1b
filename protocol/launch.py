"""Starts and ends every command: launchers and scripts call `launch` before they import anything slow.

Ctrl-C at any moment ends a command with one line and exit code 130. If packages are missing, one line says how to get
them, and the exit code is 2. A reader that closes the pipe early (`| head`) ends the command silently.

Uses only the standard library and syntax that old Pythons can parse, because it is the first module they run.
"""

from __future__ import annotations

import _thread
import os
import sys

# Not `signal`, which is slow to import: until a handler is set, Ctrl-C prints a traceback
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
_INTERRUPTED = 130  # like shells: 128 plus the signal's number
_READER_GONE = 141

_ROOT = os.path.realpath(__file__ + "/../..")  # of a checkout
_VENV_PYTHON = ".venv/bin/python" if os.name == "posix" else ".venv\\Scripts\\python"


def launch(module: str, requirements: str = "requirements.txt") -> NoReturn:
    """Imports `module`, runs its `main` and exits with the result. `requirements`: the file that lists its packages."""
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
    except BaseException as error:  # noqa: BLE001 - re-raised unless it is reported in one line
        ctrl_c.exits()
        code = _explained(error, ctrl_c.pressed, requirements)
    ctrl_c.exits()
    try:
        _flush()
    except OSError as error:
        code = _explained(error, ctrl_c.pressed, requirements)
    sys.exit(code)


class _WrongPython(Exception):
    """This version of Python can't run the project."""


class _CtrlC:
    """The effect of Ctrl-C: first it ends the process at once, later it raises KeyboardInterrupt, and finally it ends
    the process silently.

    While modules are being imported nothing is open yet, and some libraries swallow exceptions then.
    """

    def __init__(self) -> None:
        self.pressed = False
        # A shell's background job ignores Ctrl-C, and must continue to.
        self._wanted = getsignal(SIGINT) != SIG_IGN
        self._handle(_stop_at_once)

    def raises(self) -> None:
        """From here on files are open and threads run, and their users must clean up: raise KeyboardInterrupt."""
        self._handle(self._interrupt)
        sys.unraisablehook = self._unraisable

    def exits(self) -> None:
        """The command has ended, and the interpreter is waiting for its threads: end the process."""
        if getsignal(SIGINT) in (self._interrupt, default_int_handler):
            signal(SIGINT, lambda *_: os._exit(_INTERRUPTED))

    def _handle(self, handler: Any) -> None:
        if self._wanted:
            signal(SIGINT, handler)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.pressed = True
        raise KeyboardInterrupt

    def _unraisable(self, what: Any) -> None:
        """Handles a Ctrl-C during an object's deletion, which Python would only print."""
        if issubclass(what.exc_type, KeyboardInterrupt):
            _thread.start_new_thread(_press_again, ())
        else:
            sys.__unraisablehook__(what)


class EndsAtOnce:
    """A block that imports more. Ctrl-C ends the process at once, as it does while `launch` imports, so nothing may be
    open whose end the kernel doesn't take care of."""

    def __init__(self) -> None:
        self._before = getsignal(SIGINT)

    def __enter__(self) -> None:
        if self._before != SIG_IGN:
            signal(SIGINT, _stop_at_once)

    def __exit__(self, *_: object) -> None:
        signal(SIGINT, self._before)


def _stop_at_once(number: int, frame: FrameType | None) -> None:
    _say("stopped")
    os._exit(_INTERRUPTED)


def _press_again() -> None:
    """Repeats Ctrl-C once the main thread has left the code that can't be interrupted."""
    import time

    time.sleep(0.01)
    _thread.interrupt_main()


def _explained(error: BaseException, interrupted: bool, requirements: str) -> int:
    """Prints a line about the error that ended a command, and returns the exit code. Re-raises bugs of ours."""
    if isinstance(error, KeyboardInterrupt) or interrupted:  # some libraries convert it to an error of their own
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
            cure = 'run pip install "facewire[' + ("web" if "web" in requirements else "server") + ']"'
        _say(f"{package} is not installed for this Python ({sys.executable}): {cure}")
        return _WRONG_PYTHON
    if isinstance(error, OSError) and not _can_write():
        _say(f"can't write the output: {error.strerror or error}")
        return _NO_OUTPUT
    raise error


def _is_missing_package(name: str | None) -> bool:
    """Is a third-party package missing? (As opposed to a wrong name in an import of ours.)"""
    from importlib.util import find_spec

    package = (name or "").partition(".")[0]
    return bool(package) and find_spec(package) is None


def _in_venv() -> str:
    return _VENV_PYTHON + " " + os.path.relpath(os.path.realpath(sys.argv[0]), _ROOT)


def _has_reader() -> bool:
    """Does stdout (rather than some other pipe) still have a reader? If not, drops the remaining output."""
    import select

    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(1, 0)
        if not poll.poll(0):  # without requested events, it only reports errors
            return True
    # Windows has no poll for pipes: there any broken pipe is assumed to be stdout
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
    """Drops buffered output, which Python would otherwise try to write at exit, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _flush() -> None:
    if sys.stdout is not None:
        sys.stdout.flush()


def _say(line: str) -> None:
    """Writes a line to stderr, bypassing Python's buffers, as a signal may have interrupted a write to them."""
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
    launch("facewire.server.start")


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


def tokens() -> NoReturn:
    """`facewire-token`."""
    launch("facewire.server.access.tokens_command")


def identify() -> NoReturn:
    """`facewire-identify`."""
    launch("facewire.scripts.identify")
