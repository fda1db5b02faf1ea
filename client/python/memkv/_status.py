# SPDX-License-Identifier: Apache-2.0
"""The numbers of client/memkv.h by name, and an exception for each status that is a failure."""

import enum


class Status(enum.IntEnum):
    """What a call or an item came to."""

    OK = 0
    NOT_FOUND = 1
    NO_SPACE = 2
    DEADLINE = 3
    IO_ERROR = 4
    INVALID = 5
    FORBIDDEN = 6
    BUSY = 7
    UNKNOWN = 8
    UNAVAILABLE = 9
    CONFLICT = 10
    QUOTA = 11
    CORRUPT = 100
    TOO_SMALL = 101
    CALLBACK = 102
    NO_MEMORY = 103
    CANCELLED = 104


class Miss(enum.IntEnum):
    """Why a key was missed."""

    NONE = 0
    UNKNOWN = 1
    EVICTED = 2
    EXPIRED = 3
    DELETED = 4
    DEADLINE = 5
    IO_ERROR = 6
    CHECKSUM = 7
    DRIVE_OFFLINE = 8
    OVERLOADED = 9
    SERVER_DOWN = 100


class Tier(enum.IntEnum):
    """How long a value is worth keeping when there is no room: the lower ones leave first."""

    DEFAULT = 0
    THINK_COMPLETE = 1
    UNHINTED = 2
    THINK_ACTIVE = 3
    OUTPUT_CRITICAL = 4


class ThinkExit(enum.IntEnum):
    """How a session left its reasoning phase."""

    CONVERGED = 1
    OVERTHINKING = 2
    HARD_CAP = 3


class Op(enum.IntEnum):
    """What an item of a batch is."""

    PUT = 1
    GET = 2
    EXISTS = 3
    DELETE = 4
    PIN = 5
    UNPIN = 6
    SESSION = 7
    ALLOCATE = 8
    COMMIT = 9


class SessionAction(enum.IntEnum):
    """What a session's item tells."""

    BEGIN = 1
    EXIT_THINK = 2
    END = 3
    END_FREE = 4


REPLACE = 0x1
RELAXED = 0x2


class Error(Exception):
    """A call failed: `status` says as what, the text what is wrong, where, and what to do."""

    status = None

    def __init__(self, text, status=None):
        super().__init__(text)
        if status is not None:
            self.status = status


class NotFoundError(Error, KeyError):
    """There is no such key. Of Result.check alone: get and get_into return None."""

    status = Status.NOT_FOUND
    # KeyError's shows the text in quotes.
    __str__ = Exception.__str__


class NoSpaceError(Error):
    """The server has no room for it."""

    status = Status.NO_SPACE


class DeadlineError(Error, TimeoutError):
    """It was not done in time, and nothing was changed."""

    status = Status.DEADLINE


class DriveError(Error):
    """A drive of the server failed the operation."""

    status = Status.IO_ERROR


class InvalidError(Error, ValueError):
    """An argument is wrong or above a limit."""

    status = Status.INVALID


class ForbiddenError(Error, PermissionError):
    """The server does not allow it."""

    status = Status.FORBIDDEN


class BusyError(Error):
    """Too much is in flight at the server; try again."""

    status = Status.BUSY


class UnknownError(Error):
    """A put or delete may have happened, or may yet; to be sure, repeat it."""

    status = Status.UNKNOWN


class UnavailableError(Error, ConnectionError):
    """There is no connection, or the key's drive is not online."""

    status = Status.UNAVAILABLE


class ConflictError(Error):
    """The key holds other content, and the put did not say replace=True."""

    status = Status.CONFLICT


class QuotaError(Error):
    """The tenant's quota is used up."""

    status = Status.QUOTA


class CorruptError(Error):
    """The bytes that came are not those that were put."""

    status = Status.CORRUPT


class TooSmallError(Error):
    """The buffer cannot hold what there is, which is `byte_count` bytes."""

    status = Status.TOO_SMALL
    byte_count = 0


class NoMemoryError(Error, MemoryError):
    """The library found no memory."""

    status = Status.NO_MEMORY


class CancelledError(Error):
    """It was cancelled, and nothing was changed."""

    status = Status.CANCELLED


ERRORS = {error.status: error for error in (
    NotFoundError, NoSpaceError, DeadlineError, DriveError, InvalidError, ForbiddenError,
    BusyError, UnknownError, UnavailableError, ConflictError, QuotaError, CorruptError,
    TooSmallError, NoMemoryError, CancelledError)}


def name_of(numbers, number):
    """The member of an enumeration, or the number itself where a newer library has more."""
    try:
        return numbers(number)
    except ValueError:
        return number


def error_of(status, text, byte_count=0):
    """The exception of a status that is not OK."""
    status = name_of(Status, status)
    error = ERRORS.get(status, Error)(text, status)
    if isinstance(error, TooSmallError):
        error.byte_count = byte_count
    return error
