# SPDX-License-Identifier: Apache-2.0
"""Calls that do not wait: what was submitted, and its completion."""

import ctypes

from . import _library
from ._buffer import Held
from ._status import Miss, Status, error_of, name_of

# Completions that one call of the library takes.
COMPLETIONS_MAX = 64


class Submission:
    """
    A batch or a lookup that goes on by itself. Its buffers are held until it is `done`; then
    `results` has a Result for each operation, or, of a lookup, `resident` has the count.
    """

    def __init__(self, cookie, items, keep, held, of_lookup):
        self._cookie = cookie
        self._items = items  # the library's until it is done
        self._keep = keep
        self._held = held
        self._of_lookup = of_lookup
        self._status = None
        self._text = ""
        self.done = False
        self.results = None
        self.resident = None

    def _finish(self, completion, result_of):
        self._status = completion.error.status
        self._text = completion.error.text.decode("utf-8", "replace")
        if self._of_lookup:
            self.resident = completion.resident_count
        else:
            self.results = [result_of(item) for item in self._items]
        self._release()

    def _release(self):
        self._held.__exit__()
        self._items = self._keep = None
        self.done = True

    def check(self):
        """Raises the exception of the first operation that is not OK; returns itself."""
        if not self.done:
            raise RuntimeError("the submission is under way: poll or wait for it")
        if self._status is None:
            raise error_of(Status.CANCELLED, "the client was closed")
        if self._status != Status.OK:
            count = self.results[0].byte_count if self.results and len(self.results) == 1 else 0
            raise error_of(self._status, self._text, count)
        return self


class Submissions:
    """What a client has under way. A part of Client."""

    def _submissions_begin(self):
        self._submitted = {}  # by cookie
        self._cookie_last = 0

    def _submissions_end(self):
        """The library has given them up, and has no claim to their memory any more."""
        for submission in self._submitted.values():
            submission._release()
        self._submitted.clear()

    def _submit(self, make, of_lookup, timeout_ms):
        error = _library.Error()
        held = Held()
        self._begin()
        try:
            name, items, keep = make(held)
            self._cookie_last += 1
            cookie = self._cookie_last
            submission = Submission(cookie, items, keep, held, of_lookup)
            # Before the call: what it began must be found, whatever happens behind it.
            self._submitted[cookie] = submission
            status = getattr(self._library, name)(self._handle, items, len(items), cookie,
                                                  timeout_ms, ctypes.byref(error))
            if status != Status.OK:
                del self._submitted[cookie]
                raise error_of(status, error.text.decode("utf-8", "replace"))
            return submission
        except BaseException:
            if held is not None and not any(s._held is held for s in self._submitted.values()):
                held.__exit__()
            raise
        finally:
            self._turn.release()

    def _take(self, call, *arguments):
        completions = (_library.Completion * COMPLETIONS_MAX)()
        taken = []
        self._begin()
        try:
            count = call(self._handle, completions, COMPLETIONS_MAX, *arguments)
            for completion in completions[:count]:
                submission = self._submitted.pop(completion.cookie)
                submission._finish(completion, self._result_of)
                taken.append(submission)
        finally:
            self._turn.release()
        return taken

    def poll(self):
        """Submissions that are done now, up to 64 of them. Does what can be done without
        waiting."""
        return self._take(self._library.memkv_poll)

    def wait(self, timeout=None):
        """The same, and waits for the first one, `timeout` seconds at most. [] at once when nothing
        is under way."""
        milliseconds = (1 << 32) - 1 if timeout is None else self._milliseconds("timeout", timeout)
        return self._take(self._library.memkv_wait, milliseconds)

    def cancel(self, submission):
        """Ends a submission before its time; the next poll or wait has it, with CancelledError for
        what was not done. False where it is done already."""
        error = _library.Error()
        self._begin()
        try:
            return self._library.memkv_cancel(self._handle, submission._cookie,
                                              ctypes.byref(error)) == Status.OK
        finally:
            self._turn.release()

    @property
    def in_flight(self):
        """Submissions that poll and wait have not given back."""
        return len(self._submitted)

    def fileno(self):
        """A descriptor that is readable when poll has something to do, deadlines included: for
        select, selectors and loops. It is the client's; nobody else reads it."""
        self._begin()
        try:
            descriptor = self._library.memkv_fd(self._handle)
        finally:
            self._turn.release()
        if descriptor < 0:
            raise OSError("no descriptor for the client; raise the limit of open files")
        return descriptor


def result_of(make):
    """What makes Results of items, for a type of Results."""
    def of(item):
        return make(name_of(Status, item.status), name_of(Miss, item.miss), item.byte_count,
                    item.value_bytes, bool(item.leased))
    return staticmethod(of)
