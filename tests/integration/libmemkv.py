# SPDX-License-Identifier: Apache-2.0
"""libmemkv as a test calls it: client/memkv.h through ctypes."""

import ctypes
import os

from node import BUILD

OK, NOT_FOUND, NO_SPACE, DEADLINE, IO_ERROR, INVALID, FORBIDDEN, BUSY, UNKNOWN, UNAVAILABLE, \
    CONFLICT, QUOTA = range(12)
MISSES = ("none", "unknown", "evicted", "expired", "deleted", "deadline", "io_error", "checksum",
          "drive_offline", "overloaded")

PUT, GET, EXISTS, DELETE, PIN, UNPIN, SESSION, ALLOCATE, COMMIT = range(1, 10)
REPLACE, RELAXED, ABANDON = 1, 2, 0x100
THINK_COMPLETE, UNHINTED, THINK_ACTIVE, OUTPUT_CRITICAL = range(1, 5)
BEGIN, EXIT_THINK, END, END_FREE = range(1, 5)
CONVERGED, OVERTHINKING, HARD_CAP = range(1, 4)

TIMEOUT_MS = 60000


class Options(ctypes.Structure):
    _fields_ = [("servers", ctypes.c_char_p), ("timeout_ms", ctypes.c_uint32),
                ("connect_timeout_ms", ctypes.c_uint32), ("client_name", ctypes.c_char_p),
                ("tenant", ctypes.c_char_p), ("connections", ctypes.c_uint32),
                ("shared_mib", ctypes.c_uint32),
                ("auth_key", ctypes.c_char_p), ("auth_key_id", ctypes.c_char_p),
                ("tls", ctypes.c_int), ("tls_ca", ctypes.c_char_p), ("tls_name", ctypes.c_char_p),
                ("discovery", ctypes.c_char_p), ("discovery_refresh_ms", ctypes.c_uint32),
                ("otel_endpoint", ctypes.c_char_p), ("transport", ctypes.c_char_p),
                ("rdma_devices", ctypes.c_char_p)]


class Key(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_char_p), ("byte_count", ctypes.c_size_t)]


class Item(ctypes.Structure):
    _fields_ = [
        ("op", ctypes.c_uint), ("flags", ctypes.c_uint32), ("expire_s", ctypes.c_uint32),
        ("tier", ctypes.c_uint), ("session", ctypes.c_uint64), ("action", ctypes.c_uint),
        ("reason", ctypes.c_uint), ("tokens", ctypes.c_uint64), ("key", ctypes.c_char_p),
        ("key_bytes", ctypes.c_size_t), ("data", ctypes.c_char_p),
        ("data_bytes", ctypes.c_uint64), ("reservation", ctypes.c_uint64),
        ("reserve_ms", ctypes.c_uint32), ("buffer", ctypes.c_void_p),
        ("capacity", ctypes.c_uint64), ("offset", ctypes.c_uint64), ("length", ctypes.c_uint64),
        ("status", ctypes.c_uint), ("miss", ctypes.c_uint), ("leased", ctypes.c_int),
        ("byte_count", ctypes.c_uint64), ("value_bytes", ctypes.c_uint64)]


def item(op, key=b"", data=b"", **fields):
    """One operation of a batch; `key` and `data` stay with it."""
    made = Item(op=op, **fields)
    made.key, made.key_bytes = key or None, len(key)
    made.data, made.data_bytes = data, len(data)
    return made


class Client:
    """One connection. Every call of it is one request, unless it says otherwise."""

    def __init__(self, address, tenant=None, timeout_ms=TIMEOUT_MS, key=None, key_id=None,
                 tls_ca=None):
        self._library = ctypes.CDLL(os.path.join(BUILD, "libmemkv.so"))
        self._client = ctypes.c_void_p()
        options = Options(servers=address.encode(), timeout_ms=timeout_ms, client_name=b"test",
                          tenant=tenant.encode() if tenant else None,
                          auth_key=key.encode() if key else None,
                          auth_key_id=key_id.encode() if key_id else None,
                          tls_ca=tls_ca.encode() if tls_ca else None)
        status = self._library.memkv_open(ctypes.byref(options), ctypes.byref(self._client), None)
        if status != OK:
            raise AssertionError(f"no connection to {address}: {status}")

    def close(self):
        self._library.memkv_close(self._client)

    def batch(self, *items):
        """The items' statuses; items of one operation go in one request."""
        array = (Item * len(items))(*items)
        self._library.memkv_batch(self._client, array, ctypes.c_size_t(len(items)), None)
        for made, done in zip(items, array):
            for field, _ in Item._fields_[-5:]:
                setattr(made, field, getattr(done, field))
            made.reservation = done.reservation
        return [made.status for made in items]

    def put(self, key, data, **fields):
        return self.batch(item(PUT, key, data, **fields))[0]

    def get(self, key, capacity=1 << 23, **fields):
        """The value, or the name of the miss, or a status that is neither."""
        buffer = ctypes.create_string_buffer(capacity)
        made = item(GET, key, buffer=ctypes.cast(buffer, ctypes.c_void_p), capacity=capacity,
                    **fields)
        status = self.batch(made)[0]
        if status == OK:
            return buffer.raw[:made.byte_count]
        return MISSES[made.miss] if status == NOT_FOUND else status

    def get_whole(self, key):
        """The same for the value in a stream, which asks for all of it, however long it is."""
        parts = []
        take = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64,
                                ctypes.c_void_p, ctypes.c_size_t)(
            lambda _context, _offset, _bytes, data, count:
            parts.append(ctypes.string_at(data, count)) or 0)
        status = self._library.memkv_get_stream(self._client, key, ctypes.c_size_t(len(key)), take,
                                                None, None)
        return b"".join(parts) if status == OK else status

    def put_slowly(self, key, length, wait):
        """Puts `length` zeroes, more than a block has, which is not read ahead; calls wait() when
        the server has asked for the first of them."""
        def supply(_context, offset, target, count):
            if offset == 0:
                wait()
            ctypes.memset(target, 0, count)
            return 0

        source = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_void_p,
                                  ctypes.c_size_t)(supply)
        return self._library.memkv_put_stream(self._client, key, ctypes.c_size_t(len(key)),
                                              ctypes.c_uint64(length), None, source, None, None)

    def exists(self, *keys):
        return [status == OK for status in self.batch(*(item(EXISTS, key) for key in keys))]

    def delete(self, *keys):
        return self.batch(*(item(DELETE, key) for key in keys))

    def lookup(self, *keys):
        """How many of the keys are there, from the first on."""
        array = (Key * len(keys))(*(Key(key, len(key)) for key in keys))
        resident = ctypes.c_size_t()
        status = self._library.memkv_lookup(self._client, array, ctypes.c_size_t(len(keys)),
                                            ctypes.byref(resident), None)
        assert status == OK, status
        return resident.value

    def session(self, number, action, **fields):
        return self.batch(item(SESSION, session=number, action=action, **fields))[0]

    def allocate(self, key, data, **fields):
        made = item(ALLOCATE, key, data, **fields)
        return self.batch(made)[0], made.reservation

    def commit(self, reservation, data=b"", **fields):
        return self.batch(item(COMMIT, data=data, reservation=reservation, **fields))[0]
