"""Runs C libraries over hostile bytes in processes of their own, bounded in memory and time.

There they may crash, hang or ask for any amount of memory, and cost one question. Here is what all
such processes share: the parent's side (`BoundedProcess`), and the child's (`bounds`, `serve`).

A question is a line of JSON on standard input, then as many bytes as its `size` says; an answer the
same on standard output. A line with `goes_on` is none yet: it says that there is progress.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

from segsearch.core.errors import PictureError

TRIES = 2
KILLS = 4  # by nobody knows whom: what runs out of memory is not always to blame
POLL_SECONDS = 0.25  # between two looks at whether an answer is still wanted
END_SECONDS = 1.0  # for the child to end by itself
IDLE_SECONDS = 60
PROGRESS_SECONDS = 0.5  # between two words of a child that is at work
PARENT_SECONDS = 0.5  # between two looks at whether the parent is there
OOM_PREFERENCE = "500"  # which process the kernel ends when memory runs out: rather this one

Answer = tuple[dict[str, Any], bytes]


class RefusedError(Exception):
    """A sentence why a file gives nothing; raised in the child, told to the parent."""


@dataclass(frozen=True, slots=True)
class Sentences:
    """What is said when a process gives no answer: `library` is what runs in it, `file` what it is
    asked about, `too_slow` and `closed` whole sentences."""

    library: str
    file: str
    too_slow: str
    closed: str


class BoundedProcess:
    """A process of one library, started when it is first asked, and anew when it has ended. It
    answers one question at a time."""

    def __init__(self, start: Callable[[], subprocess.Popen[bytes]], sentences: Sentences) -> None:
        self._start = start
        self._sentences = sentences
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_closed = False

    @property
    def pid(self) -> int | None:
        """Its number; None while there is none."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def ask(
        self,
        question: dict[str, Any],
        data: bytes = b"",
        *,
        stopped: Callable[[], bool] = lambda: False,
        silent_seconds: float | None = None,
    ) -> Answer:
        """The answer to a question: its head, and bytes. PictureError where it has none, where the
        library ends over it again and again, where the child says nothing for `silent_seconds`, and
        once `stopped` says so, which is asked all the while where there is such a limit."""
        line = json.dumps({**question, "size": len(data)}).encode() + b"\n"
        ends: list[int] = []
        with self._lock:
            answer = self._answer(line, data, stopped, silent_seconds)
            while answer is None:
                ends.append(self._end())
                self._check_ends(ends)
                answer = self._answer(line, data, stopped, silent_seconds)
        head, said = answer
        if "refused" in head:
            raise PictureError(head["refused"])
        return head, said

    def close(self) -> None:
        """End the process, also in the middle of a question, which is not asked again."""
        self._is_closed = True
        if (process := self._process) is not None:
            process.kill()
        with self._lock:
            self._end()

    def _check_ends(self, ends: list[int]) -> None:
        """PictureError where the question is not asked again."""
        sentences = self._sentences
        if self._is_closed:
            raise PictureError(sentences.closed)
        if ends[-1] == -signal.SIGPROF:
            raise PictureError(sentences.too_slow)
        kills = ends.count(-signal.SIGKILL)
        if kills == KILLS or len(ends) - kills == TRIES:
            times, why = len(ends), cause(ends[-1])
            raise PictureError(
                f"{sentences.library} ended over {sentences.file} {times} times: {why}."
            )

    def _answer(
        self,
        line: bytes,
        data: bytes,
        stopped: Callable[[], bool],
        silent_seconds: float | None,
    ) -> Answer | None:
        """What the process says; None when it ended instead."""
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._process = self._start()
        asked, said = self._process.stdin, self._process.stdout
        if asked is None or said is None:
            return None
        with contextlib.suppress(OSError, ValueError):
            asked.write(line)
            asked.write(data)
            asked.flush()
            head: dict[str, Any] = {"goes_on": True}
            while head.get("goes_on"):
                if silent_seconds is not None:
                    self._wait(said, stopped, silent_seconds)
                head = json.loads(said.readline())
            answer = read_bytes(said, head["size"])
            if len(answer) == head["size"]:
                return head, answer
        return None

    def _wait(self, said: Any, stopped: Callable[[], bool], silent_seconds: float) -> None:
        """Until there is something to read, or the end of the process."""
        until = time.monotonic() + silent_seconds
        poll = select.poll()  # select() knows no more than 1,024 open files
        poll.register(said, select.POLLIN)
        while not poll.poll(POLL_SECONDS * 1000):
            if stopped():
                self._kill()
                raise PictureError(self._sentences.closed)
            if time.monotonic() > until:
                self._kill()
                raise PictureError(self._sentences.too_slow)

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
        self._end()

    def _end(self) -> int:
        """End the process; how it ended."""
        process, self._process = self._process, None
        if process is None:
            return 0
        if process.stdout:
            process.stdout.close()
        with contextlib.suppress(OSError):  # of what it did not read
            if process.stdin:
                process.stdin.close()
        try:
            return process.wait(timeout=END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


def started(module: str) -> subprocess.Popen[bytes]:
    """A process that runs a module of ours: it finds what this one finds, and nothing in the
    current folder. Its pipes have no buffers, so that what was said can be waited for."""
    paths = os.pathsep.join(path for path in sys.path if path)
    return subprocess.Popen(
        [sys.executable, "-P", "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        env={**os.environ, "PYTHONPATH": paths},
        start_new_session=True,  # Ctrl-C is for its parent
    )


def cause(status: int) -> str:
    """How a process ended, in words."""
    if status >= 0:
        return f"exit status {status}"
    with contextlib.suppress(ValueError):
        return signal.Signals(-status).name
    return f"signal {-status}"


def read_bytes(pipe: Any, size: int) -> bytes:
    """So many bytes of a pipe, which gives them piece by piece; fewer where it ends."""
    data = bytearray(size)
    rest = memoryview(data)
    while rest and (read := pipe.readinto(rest)):
        rest = rest[read:]
    missing = len(rest)
    rest.release()
    return bytes(data[: size - missing])


class Pulse:
    """Tells the parent that a question is worked at, and gives that as much time again; called
    often, it speaks twice a second. RefusedError once all of it took `most_seconds` of a
    processor."""

    def __init__(self, answers: BinaryIO, seconds: float, most_seconds: float) -> None:
        self._answers, self._seconds = answers, seconds
        self._until = time.process_time() + most_seconds
        self._said = time.monotonic()

    def __call__(self) -> None:
        if time.monotonic() < self._said + PROGRESS_SECONDS:
            return
        if time.process_time() > self._until:
            raise RefusedError("The file takes longer to read than the longest one that is taken.")
        signal.setitimer(signal.ITIMER_PROF, self._seconds)
        _say(self._answers, {"goes_on": True})
        self._said = time.monotonic()


def serve(
    questions: BinaryIO,
    answers: BinaryIO,
    answer: Callable[[dict[str, Any], bytes, Callable[[], None]], Answer],
    *,
    seconds: float,
    foreign: Callable[[Exception], str | None],
) -> None:
    """Answer until nobody asks any more. A question gets `seconds` of a processor, or as many as
    it says, anew whenever the third argument of `answer` is called; `foreign` makes sentences of
    the library's errors, None of those that end the process."""
    while select.select([questions], [], [], IDLE_SECONDS)[0]:
        line = questions.readline()
        if not line:
            return
        question = json.loads(line)
        limit = question.get("seconds", seconds)
        progress = Pulse(answers, limit, question.get("most_seconds", limit))
        # Ends the process: nothing else gets C out of a loop.
        signal.setitimer(signal.ITIMER_PROF, limit)
        data = b""
        try:
            head, data = answer(question, read_bytes(questions, question["size"]), progress)
        except Exception as problem:  # of the library's own kinds
            sentence = str(problem) if isinstance(problem, RefusedError) else foreign(problem)
            if sentence is None:
                raise
            head = {"refused": sentence}
        signal.setitimer(signal.ITIMER_PROF, 0)
        _say(answers, head, data)
        del data
        gc.collect()


def _say(answers: BinaryIO, head: dict[str, Any], data: bytes = b"") -> None:
    answers.write(json.dumps({**head, "size": len(data)}).encode() + b"\n")
    answers.write(data)
    answers.flush()


def bounds(memory_bytes: int) -> tuple[BinaryIO, BinaryIO]:
    """Bound what this process may take, tie its end to its parent's, and give the pipes of
    questions and of answers."""
    for which, most in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_AS, memory_bytes)):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(which, (most, most))
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
        file.write(OOM_PREFERENCE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # for the parent, whose end is the end of this one
    threading.Thread(target=_end_with, args=[os.getppid()], daemon=True).start()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints does not answer
    return open(0, "rb", buffering=0), answers


def _end_with(parent: int) -> None:
    """End this process soon after its parent, whatever the library is at: it works without the
    GIL."""
    while os.getppid() == parent:
        time.sleep(PARENT_SECONDS)
    os._exit(0)
