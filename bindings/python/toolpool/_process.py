"""A Python function in a process of its own, one a slot: for what holds the GIL, or must not share a process."""

from __future__ import annotations

import importlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from ._errors import Crashed, InvalidArgument, ToolFailed
from ._inside import inside
from ._lists import listed

# What a child has to end by itself once its pipe is closed.
_GRACE_S = 5.0


class Named:
    """A function by its name, `module:function`, imported where it is called."""

    def __init__(self, name: str):
        module, separator, function = name.partition(":")
        if not (module and separator and function):
            raise InvalidArgument(f"a function is named as 'module:function', not '{name}'")
        if module == "__main__":
            raise InvalidArgument(
                f"'{name}' is of the program itself, which no other process imports: move it to a module"
            )
        self.name = self.__name__ = name

    def resolved(self) -> Callable[..., Any]:
        """The function. One that is decorated as a tool splits nothing inside of a worker."""
        module, _, path = self.name.partition(":")
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
        if not callable(found):
            raise InvalidArgument(f"'{self.name}' is a {type(found).__name__}, and no function")
        return found

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self.resolved()(*arguments, **named)


def function_of(given: Any) -> Callable[..., Any]:
    """A function, or the one of a name, as `module:function`."""
    if isinstance(given, str):
        return Named(given)
    if not callable(given):
        raise InvalidArgument(f"here goes a function or its name, 'module:function', not {given!r}")
    return given


class Child:
    """The process of one worker."""

    def __init__(self, name: str, device: str):
        self._name, self._device = name, device
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    "from toolpool import _process; _process.serve()",
                    str(theirs.fileno()),
                ],
                pass_fds=[theirs.fileno()],
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
                },
            )
        self._link = Connection(ours.detach())

    def load(self, run: Callable[..., Any], load: Callable[[str], Any] | None) -> None:
        """Loads the tool there; if that fails, the process ends."""
        try:
            self._asked((self._device, run, load))
        except BaseException:
            self.close()
            raise

    def compute(self, items: list[Any]) -> list[Any]:
        """The outputs of items, computed there. What was raised there has its traceback as the cause's text."""
        return [
            self._from_there(output) if isinstance(output, _Raised) else output
            for output in self._asked(items)
        ]

    def kill(self) -> None:
        """Ends the process at once; a `load` or `compute` under way raises Crashed."""
        self._process.kill()

    def close(self) -> None:
        """Ends the process, and waits until it has ended."""
        self._link.close()
        try:
            self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _asked(self, question: Any) -> Any:
        message = pickle.dumps(question, protocol=5)
        try:
            self._link.send_bytes(message)
            error, answer = pickle.loads(self._link.recv_bytes())
        except (EOFError, OSError):
            raise Crashed(
                f"the process of {self._name} on {self._device} {self._how_it_ended()}"
            ) from None
        if error is not None:
            raise self._from_there(error)
        return answer

    def _from_there(self, raised: _Raised) -> BaseException:
        where = f"in the process of {self._name} on {self._device}"
        raised.error.__cause__ = ToolFailed(f"{where}:\n{raised.traceback}")
        return raised.error

    def _how_it_ended(self) -> str:
        self._process.kill()
        status = self._process.wait()
        return (
            f"was ended by {signal.Signals(-status).name}"
            if status < 0
            else f"exited with status {status}"
        )


def serve() -> None:
    """The life of a child: loads, then answers until its parent hangs up. Ctrl-C is the parent's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Workers block all signals, and this process began on one.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    link = Connection(int(sys.argv[1]))
    worker = _Worker()
    while True:
        try:
            question = link.recv_bytes()
        except EOFError:
            return
        link.send_bytes(_answer(worker, question))


class _Worker:
    """The tool in the child: the first question loads it, the others are items."""

    def __init__(self) -> None:
        self._compute: Callable[[list[Any]], Any] | None = None
        self._device = ""

    def __call__(self, question: Any) -> list[Any]:
        if self._compute is None:
            self._load(*question)
            return []
        with inside(self._device):
            return listed(self._compute(question))

    def _load(
        self, device: str, run: Callable[..., Any], load: Callable[[str], Any] | None
    ) -> None:
        self._device = device
        run = run.resolved() if isinstance(run, Named) else run
        if load is None:
            self._compute = run
        else:
            with inside(device):
                state = load(device)
            self._compute = lambda items: run(state, items)


class _Raised:
    """An exception on its way to the parent, with its traceback as text: frames do not travel."""

    def __init__(self, error: BaseException):
        self.traceback = "".join(
            traceback.format_exception(type(error), error, error.__traceback__)
        )
        try:
            pickle.loads(pickle.dumps(error, protocol=5))
            self.error = error
        except Exception:  # it cannot be pickled, or not be made anew from its pickle
            self.error = ToolFailed(f"{type(error).__name__}: {error}")


def _answer(worker: _Worker, question: bytes) -> bytes:
    """The pickle of (what was raised, the outputs)."""
    try:
        outputs = worker(pickle.loads(question))
        portable = [_Raised(one) if isinstance(one, Exception) else one for one in outputs]
        return pickle.dumps((None, portable), protocol=5)
    except BaseException as error:
        return pickle.dumps((_Raised(error), None), protocol=5)
