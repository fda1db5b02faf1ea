# SPDX-License-Identifier: Apache-2.0
"""memkv: blocks of a memkv server, put and got by key, on buffers without copies.

    import memkv

    with memkv.Client("127.0.0.1:9900") as client:
        client.put("key", b"bytes")
        client.get("key")           # bytearray(b"bytes"); None where there is no such key

It is libmemkv, called by ctypes: CPython 3.9 or newer, and nothing to compile. The library is the
one that the variable MEMKV_LIBRARY names, else one beside this module, else the system's.
"""

from ._aio import AsyncClient
from ._client import (Client, Delete, Exists, Get, Pin, Put, Result, Server, Unpin)
from ._status import (BusyError, CancelledError, ConflictError, CorruptError, DeadlineError,
                      DriveError, Error, ForbiddenError, InvalidError, Miss, NoMemoryError,
                      NoSpaceError, NotFoundError, QuotaError, Status, ThinkExit, Tier,
                      TooSmallError, UnavailableError, UnknownError)
from ._submit import Submission

__all__ = [
    "AsyncClient", "BusyError", "CancelledError", "Client", "ConflictError", "CorruptError",
    "DeadlineError", "Delete", "DriveError", "Error", "Exists", "ForbiddenError", "Get",
    "InvalidError", "Miss", "NoMemoryError", "NoSpaceError", "NotFoundError", "Pin", "Put",
    "QuotaError", "Result", "Server", "Status", "Submission", "ThinkExit", "Tier",
    "TooSmallError", "UnavailableError", "UnknownError", "Unpin",
]
