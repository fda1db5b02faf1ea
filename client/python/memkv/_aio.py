# SPDX-License-Identifier: Apache-2.0
"""The client of an asyncio loop: calls are awaited, and any number of them is under way at once."""

import asyncio
import functools

from ._client import (GET_BYTES, GET_TRIES_MAX, Client, Delete, Exists, Get, Pin, Put, Unpin, _uint)
from ._status import Status, error_of


class AsyncClient:
    """
    A Client whose calls are awaited:

        async with await memkv.AsyncClient.open("127.0.0.1:9900") as client:
            await asyncio.gather(*(client.put(key, data) for key, data in blocks))

    It is of the loop that it was opened in, on whose thread all of it happens. A task that is
    cancelled in a call has the call cancelled; buffers are held until the library is done with
    them. `timeout` of each call is in seconds; None is the client's.
    """

    def __init__(self, client):
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._futures = {}  # by submission
        self._rooms = {}  # of gets that were given up, by submission
        self._descriptor = client.fileno()
        self._loop.add_reader(self._descriptor, self._poll)

    @classmethod
    async def open(cls, *arguments, **options):
        """As Client(…); connecting waits on another thread."""
        loop = asyncio.get_running_loop()
        return cls(await loop.run_in_executor(None,
                                              functools.partial(Client, *arguments, **options)))

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self.close()

    def close(self):
        """Closes the connections; what is under way fails with CancelledError of this module."""
        if self._client.closed:
            return
        self._loop.remove_reader(self._descriptor)
        self._client.close()
        for future in self._futures.values():
            if not future.done():
                future.set_exception(error_of(Status.CANCELLED, "the client was closed"))
        self._futures.clear()
        self._rooms.clear()

    @property
    def client(self):
        """The Client below, for what does not wait: limits, trace_context, timeout."""
        return self._client

    def _poll(self):
        for submission in self._client.poll():
            future = self._futures.pop(submission)
            if not future.done():
                future.set_result(submission)
            if submission in self._rooms:
                self._client._room_give(self._rooms.pop(submission))

    async def _await(self, submission):
        future = self._loop.create_future()
        self._futures[submission] = future
        try:
            # Shielded by being no task: a cancelled task leaves the submission to _poll.
            return await future
        except asyncio.CancelledError:
            if not submission.done and not self._client.closed:
                self._client.cancel(submission)
            raise

    async def _result(self, submission, *expected):
        """Of a submission of one operation, when it is there."""
        await self._await(submission)
        result = submission.results[0]
        if result.status not in expected:
            submission.check()
        return result

    async def _one(self, what, timeout, *expected):
        return await self._result(self._client.submit([what], timeout=timeout), *expected)

    async def _read(self, what, timeout):
        """Reads into a room of the client's, which it has back when the library is done with it,
        whatever becomes of the call. Returns the result and the value."""
        client = self._client
        try:
            submission = client.submit([what], timeout=timeout)
        except Exception:  # not an interrupt: behind it the library may have the room
            client._room_give(what.buffer)
            raise
        try:
            result = await self._result(submission, Status.NOT_FOUND, Status.TOO_SMALL)
            return result, client._room_value(what.buffer, result)
        finally:
            if submission.done:
                client._room_give(what.buffer)
            else:
                self._rooms[submission] = what.buffer

    async def put(self, key, data, *, replace=False, relaxed=False, expire=0, tier=0, session=0,
                  timeout=None):
        """As Client.put."""
        await self._one(Put(key, data, replace, relaxed, expire, tier, session), timeout)

    async def get(self, key, *, offset=0, length=None, size=GET_BYTES, timeout=None):
        """As Client.get: a bytearray, or None."""
        room = _uint("size", size, 64) if length is None else _uint("length", length, 64)
        for _ in range(GET_TRIES_MAX):
            buffer = self._client._room_take(room)
            result, value = await self._read(Get(key, buffer, offset, length), timeout)
            if result.status != Status.TOO_SMALL:
                return value
            room = result.byte_count
        raise error_of(Status.TOO_SMALL, "the value grew while it was read", room)

    async def get_into(self, key, buffer, *, offset=0, length=None, timeout=None):
        """As Client.get_into: how many bytes there were, or None."""
        result = await self._one(Get(key, buffer, offset, length), timeout, Status.NOT_FOUND)
        return result.byte_count if result.status == Status.OK else None

    async def exists(self, key, *, timeout=None):
        """Whether the key is resident."""
        return (await self._one(Exists(key), timeout, Status.NOT_FOUND)).ok

    async def delete(self, key, *, timeout=None):
        """Deletes a key, durably; False where there was no such key."""
        return (await self._one(Delete(key), timeout, Status.NOT_FOUND)).ok

    async def pin(self, key, seconds, *, timeout=None):
        """Keeps the key from being evicted for `seconds`; False where there is no such key."""
        return (await self._one(Pin(key, seconds), timeout, Status.NOT_FOUND)).ok

    async def unpin(self, key, *, timeout=None):
        """Ends one pin; False where the key is not there, or not pinned."""
        return (await self._one(Unpin(key), timeout, Status.NOT_FOUND)).ok

    async def batch(self, operations, *, timeout=None):
        """As Client.batch: a Result for each operation, none of which raises."""
        operations = list(operations)
        if not operations:
            return []
        return (await self._await(self._client.submit(operations, timeout=timeout))).results

    async def lookup(self, keys, *, timeout=None):
        """How many of the keys, from the first on, are resident without a gap."""
        keys = list(keys)
        if not keys:
            return 0
        submission = await self._await(self._client.submit_lookup(keys, timeout=timeout))
        return submission.check().resident
