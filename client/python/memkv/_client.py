# SPDX-License-Identifier: Apache-2.0
"""The client, and what its batches are made of."""

import ctypes
import json
import math
import operator
import os
import threading
import typing
import uuid
import weakref

from . import _library
from ._buffer import ROOM_BYTES_MAX, Held, Rooms
from ._status import (REPLACE, RELAXED, Miss, Op, SessionAction, Status, Tier, error_of, name_of)
from ._submit import Submissions, result_of

# What get makes room for when it is not told; a larger value takes a second round trip.
GET_BYTES = 65536
# How often get makes room anew for a value that others replace by a larger one meanwhile.
GET_TRIES_MAX = 4


class Put(typing.NamedTuple):
    """Stores the bytes of `data` under a key; see Client.put."""

    key: typing.Any
    data: typing.Any
    replace: bool = False
    relaxed: bool = False
    expire: int = 0
    tier: Tier = Tier.DEFAULT
    session: int = 0


class Get(typing.NamedTuple):
    """Reads a value, or `length` bytes of it from `offset` on, into a buffer."""

    key: typing.Any
    buffer: typing.Any
    offset: int = 0
    length: typing.Optional[int] = None


class Exists(typing.NamedTuple):
    """Asks whether a key is resident. Moves no value."""

    key: typing.Any


class Delete(typing.NamedTuple):
    """Deletes a key."""

    key: typing.Any


class Pin(typing.NamedTuple):
    """Keeps a key from being evicted for so many seconds."""

    key: typing.Any
    seconds: int


class Unpin(typing.NamedTuple):
    """Ends one pin of a key."""

    key: typing.Any


class _Session(typing.NamedTuple):
    session: int
    action: SessionAction
    tokens: int = 0
    reason: int = 0


class Result(typing.NamedTuple):
    """What an item of a batch came to. The numbers are those of struct memkv_item."""

    status: Status
    miss: Miss
    byte_count: int
    value_bytes: int
    leased: bool

    @property
    def ok(self):
        """Whether it was done."""
        return self.status == Status.OK

    def check(self):
        """Raises the exception of a status that is not OK; returns the result itself."""
        if self.status != Status.OK:
            status = name_of(Status, self.status)
            text = getattr(status, "name", str(status)).lower()
            if self.miss not in (Miss.NONE, Miss.UNKNOWN):
                text += f" ({getattr(self.miss, 'name', str(self.miss)).lower()})"
            raise error_of(self.status, text, self.byte_count)
        return self


class Server(typing.NamedTuple):
    """What a server said of itself when it was last connected to: struct memkv_server."""

    items_max: int
    inline_bytes_max: int
    requests_max: int
    block_bytes_max: int
    value_bytes_max: int
    store_uuid: uuid.UUID
    version: str


def _uint(name, value, bits):
    """A number that C has room for; ctypes would cut it off silently."""
    number = operator.index(value)
    if not 0 <= number < 1 << bits:
        raise ValueError(f"{name}: {number} is not from 0 to {(1 << bits) - 1}")
    return number


def _milliseconds(name, seconds):
    """Seconds as the library takes them; 0, its default, for None."""
    if seconds is None:
        return 0
    if not seconds > 0:
        raise ValueError(f"{name}: {seconds} s; it is more than 0")
    milliseconds = seconds * 1000
    if milliseconds >= 1 << 32:
        raise ValueError(f"{name}: {seconds} s is more than {(1 << 32) // 1000} s")
    return math.ceil(milliseconds)


def _text(name, value):
    """A string for C; None stays NULL."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"{name}: a str is required, not '{type(value).__name__}'")
    if "\0" in value:
        raise ValueError(f"{name}: it has a NUL")
    return value.encode()


def _key(key):
    """A key's bytes: those of a str are UTF-8. Keys are copied where they are not bytes already."""
    if isinstance(key, str):
        return key.encode()
    if type(key) is bytes:
        return key
    try:
        return bytes(memoryview(key))
    except TypeError:
        raise TypeError("key: a str or an object with the buffer protocol is required, not "
                        f"'{type(key).__name__}'") from None


def _fill(item, what, held, place):
    """Makes an operation an item of the library's; `place` goes before arguments in errors."""
    if isinstance(what, _Session):
        item.op = Op.SESSION
        item.session = _uint("session", what.session, 64)
        item.action = what.action
        item.tokens = _uint("tokens", what.tokens, 64)
        item.reason = what.reason
        return
    if not isinstance(what, (Put, Get, Exists, Delete, Pin, Unpin)):
        raise TypeError(f"{place}an operation is required, not '{type(what).__name__}'")
    key = _key(what.key)
    item.key, item.key_bytes = key, len(key)
    if isinstance(what, Put):
        item.op = Op.PUT
        item.flags = (REPLACE if what.replace else 0) | (RELAXED if what.relaxed else 0)
        item.expire_s = _uint(f"{place}expire", what.expire, 32)
        item.tier = _uint(f"{place}tier", what.tier, 32)
        item.session = _uint(f"{place}session", what.session, 64)
        item.data, item.data_bytes = held.hold(f"{place}data", what.data)
    elif isinstance(what, Get):
        item.op = Op.GET
        item.offset = _uint(f"{place}offset", what.offset, 64)
        if what.length is not None:
            item.length = _uint(f"{place}length", what.length, 64)
            if item.length == 0:
                raise ValueError(f"{place}length: a range has at least one byte")
        item.buffer, item.capacity = held.hold(f"{place}buffer", what.buffer, writable=True)
    elif isinstance(what, Pin):
        item.op = Op.PIN
        item.expire_s = _uint(f"{place}seconds", what.seconds, 32)
    else:
        item.op = {Exists: Op.EXISTS, Delete: Op.DELETE, Unpin: Op.UNPIN}[type(what)]


def _close(close, handle, process):
    # The connections of a process that forked are not its child's to end.
    if os.getpid() == process:
        close(handle)


def _check(status, error, byte_count=0):
    if status != Status.OK:
        raise error_of(status, error.text.decode("utf-8", "replace"), byte_count)


class Client(Submissions):
    """
    The servers that share a set of keys, and connections to them.

    What is None is as libmemkv's environment says, else its file, else its default; `servers` is
    "HOST:PORT", several of them with commas between, or a list of them; `discovery` is where the
    list comes from instead, as in "file:PATH". Timeouts are in seconds:
    `timeout` is that of every call from begin to end.

    A client is used by one thread at a time, and not across fork: a call that finds another one in
    progress, or itself in another process, raises RuntimeError and does nothing.
    """

    def __init__(self, servers=None, *, timeout=None, connect_timeout=None, client_name=None,
                 tenant=None, connections=None, auth_key=None, auth_key_id=None, tls=False,
                 tls_ca=None, tls_name=None, discovery=None, otel_endpoint=None,
                 transport=None, rdma_devices=None):
        if servers is not None and not isinstance(servers, str):
            servers = ",".join(servers)
        options = _library.Options(
            servers=_text("servers", servers),
            timeout_ms=_milliseconds("timeout", timeout),
            connect_timeout_ms=_milliseconds("connect_timeout", connect_timeout),
            client_name=_text("client_name", client_name), tenant=_text("tenant", tenant),
            connections=0 if connections is None else _uint("connections", connections, 64),
            auth_key=_text("auth_key", auth_key), auth_key_id=_text("auth_key_id", auth_key_id),
            tls=bool(tls), tls_ca=_text("tls_ca", None if tls_ca is None else os.fspath(tls_ca)),
            tls_name=_text("tls_name", tls_name), discovery=_text("discovery", discovery),
            otel_endpoint=_text("otel_endpoint", otel_endpoint),
            transport=_text("transport", transport),
            rdma_devices=_text("rdma_devices", rdma_devices))
        self._library = _library.load()
        self._submissions_begin()
        self._rooms = Rooms()
        self._timeout = timeout
        self._turn = threading.Lock()
        self._process = os.getpid()
        self._handle = ctypes.c_void_p()
        error = _library.Error()
        _check(self._library.memkv_open(ctypes.byref(options), ctypes.byref(self._handle),
                                        ctypes.byref(error)), error)
        self._finalizer = weakref.finalize(self, _close, self._library.memkv_close,
                                           ctypes.c_void_p(self._handle.value), self._process)
        # At the end of the process another thread may be in a call.
        self._finalizer.atexit = False

    def __enter__(self):
        """The client, which is closed when `with` ends."""
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Closes the connections. What is closed already stays so."""
        self._begin(may_be_closed=True)
        try:
            self._finalizer()
            self._handle.value = None
            self._submissions_end()
            self._rooms = Rooms()
        finally:
            self._turn.release()

    @property
    def closed(self):
        """Whether close was called."""
        return not self._finalizer.alive

    # ---- one value at a time --------------------------------------------------------------------

    def put(self, key, data, *, replace=False, relaxed=False, expire=0, tier=Tier.DEFAULT,
            session=0):
        """
        Stores the bytes of `data`, any contiguous object with the buffer protocol, under a key.

        Other content under the key is replaced with `replace`, else that is ConflictError. With
        `relaxed` it returns when the server has the value in memory, else when it is durable.
        `expire`: seconds from now on until the value is gone, 0 never. `session`: the session that
        stores it, 0 for none.
        """
        self._one(Put(key, data, replace, relaxed, expire, tier, session))

    def get(self, key, *, offset=0, length=None, size=GET_BYTES):
        """
        A value, or `length` bytes of it from `offset` on and fewer where it ends before, as a
        bytearray; None where there is no such key. There is room for `length` or else `size` bytes
        at least, and for a value as large as those before; more takes a second round trip.
        """
        room = _uint("size", size, 64) if length is None else _uint("length", length, 64)
        for _ in range(GET_TRIES_MAX):
            buffer = self._room_take(room)
            try:
                item = self._one(Get(key, buffer, offset, length), Status.NOT_FOUND,
                                 Status.TOO_SMALL)
                value = self._room_value(buffer, item)
            finally:
                self._room_give(buffer)
            if item.status != Status.TOO_SMALL:
                return value
            room = item.byte_count
        raise error_of(Status.TOO_SMALL, "the value grew while it was read", room)

    def _room_take(self, byte_count):
        """Where so many bytes can be read."""
        is_kept = byte_count <= ROOM_BYTES_MAX
        return self._rooms.take(byte_count) if is_kept else bytearray(byte_count)

    def _room_give(self, buffer):
        """No call has it any more."""
        is_kept = len(buffer) <= ROOM_BYTES_MAX
        for room in self._rooms.give(buffer) if is_kept else [buffer]:
            if not self.closed:
                self.forget(room)

    @staticmethod
    def _room_value(buffer, item):
        """What was read there, as the caller's own; None where nothing was."""
        if item.status != Status.OK:
            return None
        with memoryview(buffer) as view:
            return bytearray(view[:item.byte_count])

    def get_into(self, key, buffer, *, offset=0, length=None):
        """
        The same into `buffer`, a writable contiguous object with the buffer protocol. Returns how
        many bytes there were; None where there is no such key. TooSmallError where they do not fit,
        and then, as with every failure, the buffer's content is undefined.
        """
        item = self._one(Get(key, buffer, offset, length), Status.NOT_FOUND)
        return item.byte_count if item.status == Status.OK else None

    def exists(self, key):
        """Whether the key is resident. Moves no value."""
        return self._one(Exists(key), Status.NOT_FOUND).status == Status.OK

    def delete(self, key):
        """Deletes a key, durably; False where there was no such key."""
        return self._one(Delete(key), Status.NOT_FOUND).status == Status.OK

    def pin(self, key, seconds):
        """Keeps the key from being evicted for `seconds`; False where there is no such key."""
        return self._one(Pin(key, seconds), Status.NOT_FOUND).status == Status.OK

    def unpin(self, key):
        """Ends one pin; False where the key is not there, or not pinned."""
        return self._one(Unpin(key), Status.NOT_FOUND).status == Status.OK

    # ---- many at a time -------------------------------------------------------------------------

    def batch(self, operations):
        """
        Carries out Put, Get, Exists, Delete, Pin and Unpin in any number and mixture, side by side
        in no order, and returns a Result for each. None of them raises: see Result.check.
        """
        operations = list(operations)
        if not operations:
            return []
        items = (_library.Item * len(operations))()
        status, error = self._batch(items, operations)
        results = [Result(name_of(Status, item.status), name_of(Miss, item.miss), item.byte_count,
                          item.value_bytes, bool(item.leased)) for item in items]
        if status != Status.OK and all(result.ok for result in results):
            _check(status, error)  # nothing was begun
        return results

    def lookup(self, keys):
        """How many of the keys, from the first on, are resident without a gap."""
        keys = [_key(key) for key in keys]
        array = (_library.Key * len(keys))(*((key, len(key)) for key in keys))
        count = ctypes.c_size_t()
        self._call("memkv_lookup", array, len(keys), ctypes.byref(count))
        return count.value

    # ---- many calls at a time -------------------------------------------------------------------

    _result_of = result_of(Result)
    _milliseconds = staticmethod(_milliseconds)

    def submit(self, operations, *, timeout=None):
        """
        Begins what batch does, and returns a Submission, which poll or wait give back when it is
        done, `timeout` seconds (None: the client's) after this at most. Its buffers are held, and
        are not to be touched, until then.
        """
        operations = list(operations)

        def make(held):
            items = (_library.Item * len(operations))()
            for index, what in enumerate(operations):
                _fill(items[index], what, held, f"item {index}, " if len(items) > 1 else "")
            return "memkv_submit", items, None

        return self._submit(make, False, _milliseconds("timeout", timeout))

    def submit_lookup(self, keys, *, timeout=None):
        """The same of lookup: the Submission has `resident` then."""
        keys = [_key(key) for key in keys]

        def make(_):
            return ("memkv_submit_lookup",
                    (_library.Key * len(keys))(*((key, len(key)) for key in keys)), keys)

        return self._submit(make, True, _milliseconds("timeout", timeout))

    @property
    def timeout(self):
        """Seconds that a call may take; None: the library's default. What is set goes for the
        calls to come."""
        return self._timeout

    @timeout.setter
    def timeout(self, seconds):
        milliseconds = _milliseconds("timeout", seconds)
        self._begin()
        try:
            self._library.memkv_set_timeout(self._handle, milliseconds)
            self._timeout = seconds
        finally:
            self._turn.release()

    # ---- sessions -------------------------------------------------------------------------------

    def session_begin(self, session):
        """Begins a session, by a number but 0 that the caller chooses; a put that names it does,
        too."""
        self._one(_Session(session, SessionAction.BEGIN))

    def session_exit_think(self, session, tokens, reason):
        """The session has left its reasoning phase, after so many tokens, for a ThinkExit; False
        where there is no such session."""
        told = _Session(session, SessionAction.EXIT_THINK, tokens, _uint("reason", reason, 32))
        return self._one(told, Status.NOT_FOUND).status == Status.OK

    def session_end(self, session, *, free=False):
        """The session is over; with `free` its values leave. False where there is no such one."""
        action = SessionAction.END_FREE if free else SessionAction.END
        return self._one(_Session(session, action), Status.NOT_FOUND).status == Status.OK

    # ---- the server -----------------------------------------------------------------------------

    def trace_context(self, traceparent):
        """Calls to come belong to that span, as in W3C's header; None: to none."""
        self._call("memkv_trace_context", _text("traceparent", traceparent))

    def ping(self):
        """One round trip."""
        self._call("memkv_ping")

    def stats(self):
        """The first server's counters, as a dict."""
        text = ctypes.create_string_buffer(_library.STATS_BYTES_MAX + 1)
        count = ctypes.c_size_t()
        self._call("memkv_stats", text, len(text), ctypes.byref(count))
        return json.loads(ctypes.string_at(text, count.value))

    def limits(self):
        """What a server, the first that has, said of itself. Sends nothing."""
        server = _library.Server()
        self._begin()
        try:
            self._library.memkv_server_limits(self._handle, ctypes.byref(server))
        finally:
            self._turn.release()
        return Server(server.items_max, server.inline_bytes_max, server.requests_max,
                      server.block_bytes_max, server.value_bytes_max,
                      uuid.UUID(bytes=bytes(server.store_uuid)), server.version.decode())

    def transport(self):
        """How bytes reach the first server that is connected: "tcp", "tls", "unix", "shm", "rdma";
        "" without a connection. Sends nothing."""
        self._begin()
        try:
            return self._library.memkv_transport(self._handle).decode()
        finally:
            self._turn.release()

    def forget(self, buffer):
        """
        Nothing of a buffer that puts have named is kept registered with RDMA devices any more: for
        memory that is about to be unmapped or moved, so that its pages go back to the system and no
        server can read them. It is none of a call in flight. Without RDMA there is nothing to
        forget.
        """
        with Held() as held:
            address, byte_count = held.hold("buffer", buffer)
            if byte_count > 0:
                self._call("memkv_buffer_forget", address, byte_count)

    # ---- calls ----------------------------------------------------------------------------------

    def _begin(self, may_be_closed=False):
        """The client is this thread's until _turn is released."""
        if os.getpid() != self._process:
            raise RuntimeError("the client is of the process that forked; open one in this one")
        if not self._turn.acquire(blocking=False):
            raise RuntimeError("the client is in a call of another thread; have one for each")
        if not may_be_closed and not self._finalizer.alive:
            self._turn.release()
            raise RuntimeError("the client is closed")

    def _call(self, name, *arguments):
        """A call whose status is the error of all that it does."""
        error = _library.Error()
        self._begin()
        try:
            status = getattr(self._library, name)(self._handle, *arguments, ctypes.byref(error))
        finally:
            self._turn.release()
        _check(status, error)

    def _batch(self, items, operations):
        """Fills and carries out the items, and returns the status and the error. Buffers are held
        from before the call until after it."""
        error = _library.Error()
        self._begin()
        try:
            with Held() as held:
                for index, what in enumerate(operations):
                    _fill(items[index], what, held, f"item {index}, " if len(items) > 1 else "")
                status = self._library.memkv_batch(self._handle, items, len(items),
                                                   ctypes.byref(error))
                return status, error
        finally:
            self._turn.release()

    def _one(self, what, *expected):
        """A batch of one operation: its item, whose status is OK or one of those expected."""
        items = (_library.Item * 1)()
        status, error = self._batch(items, [what])
        if status not in expected:
            _check(status, error, items[0].byte_count)
        return items[0]
