# SPDX-License-Identifier: Apache-2.0
"""The addresses of objects with the buffer protocol, kept in place while C works on them.

ctypes alone gives the addresses of writable objects only, so the protocol is asked directly. What
is held is exported: a bytearray cannot be resized meanwhile, an array not be freed.
"""

import ctypes

# As in CPython's Include/cpython/object.h: contiguous bytes, without format, shape or strides.
_SIMPLE, _WRITABLE = 0, 1


class _View(ctypes.Structure):
    """Py_buffer"""

    _fields_ = [
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.c_void_p),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_void_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    ]


# Of its own, since the types of ctypes.pythonapi's functions belong to the whole process.
_python = ctypes.PyDLL(None)
_get = _python.PyObject_GetBuffer
_get.restype, _get.argtypes = ctypes.c_int, [ctypes.py_object, ctypes.POINTER(_View), ctypes.c_int]
_release = _python.PyBuffer_Release
_release.restype, _release.argtypes = None, [ctypes.POINTER(_View)]


class Held:
    """Buffers that stay where they are until `with` ends."""

    def __init__(self):
        self._views = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        while self._views:
            _release(self._views.pop())

    def __del__(self):
        self.__exit__()

    def hold(self, name, what, writable=False):
        """The address and the bytes of an object; `name` says in errors whose it is."""
        view = _View()
        try:
            _get(what, view, _WRITABLE if writable else _SIMPLE)
        except TypeError as error:
            raise TypeError(f"{name}: {error}") from None
        except (BufferError, ValueError) as error:
            advice = "pass a contiguous one, as numpy.ascontiguousarray makes"
            if writable:
                advice = "it must be writable and contiguous"
            raise BufferError(f"{name}: {error}; {advice}") from None
        self._views.append(view)
        return view.buf, view.len


# A value that is larger is read into memory of its own.
ROOM_BYTES_MAX = 16 << 20
ROOMS_BYTES_MAX = 64 << 20
_ROOM_BYTES_MIN = 64 << 10


class Rooms:
    """
    Where values are read whose memory is the caller's only when they are there: kept from call to
    call, so that the library has to prepare it once (RDMA registers it), and a value of the size of
    earlier ones needs no second round trip. Of powers of two, all together 64 MiB at most.
    """

    def __init__(self):
        self._free = []  # what was used last is the last

    def take(self, byte_count):
        """A bytearray of so many bytes at least, at most ROOM_BYTES_MAX."""
        for index in range(len(self._free) - 1, -1, -1):
            if len(self._free[index]) >= byte_count:
                return self._free.pop(index)
        return bytearray(1 << (max(byte_count, _ROOM_BYTES_MIN) - 1).bit_length())

    def give(self, room):
        """Takes it back. Returns those that are kept no more."""
        self._free.append(room)
        dropped = []
        while sum(map(len, self._free)) > ROOMS_BYTES_MAX:
            dropped.append(self._free.pop(0))
        return dropped
