# SPDX-License-Identifier: Apache-2.0
"""What a test tells the drives of memkv-faulty (faulty_drive.c) to do."""

import mmap
import os
import struct

from node import BUILD

FAULTY = os.path.join(BUILD, "tests", "integration", "memkv-faulty")
ROW_BYTES = 64
OPERATIONS = ("read", "write", "flush", "trim")
IO_DEVICE, IO_GONE, IO_TIMEOUT, IO_READ_ONLY = 2, 3, 5, 6


class Faults:
    """The rows that the drives of memkv-faulty look at before each operation."""

    def __init__(self, path):
        with open(path, "wb") as file:
            file.truncate(64 * ROW_BYTES)
        self._file = open(path, "r+b")
        self._map = mmap.mmap(self._file.fileno(), 64 * ROW_BYTES)

    def close(self):
        self._map.close()
        self._file.close()

    def _set(self, drive, word, value):
        struct.pack_into("<I", self._map, drive * ROW_BYTES + word * 4, value)

    def fail(self, drive, *operations):
        for name in operations:
            self._set(drive, OPERATIONS.index(name), IO_DEVICE)

    def gone(self, drive, *operations):
        """Fails them as those of a drive that is not there any more."""
        for name in operations:
            self._set(drive, OPERATIONS.index(name), IO_GONE)

    def answer(self, drive, result, *operations):
        """Fails them with that result."""
        for name in operations:
            self._set(drive, OPERATIONS.index(name), result)

    def delay(self, drive, milliseconds, *operations):
        for name in operations:
            self._set(drive, 4 + OPERATIONS.index(name), milliseconds)

    def stall(self, drive, *operations, on=True):
        """Holds these operations, or all; or none any more."""
        names = operations or OPERATIONS
        self._set(drive, 8, sum(1 << OPERATIONS.index(name) for name in names) if on else 0)

    def hang(self, drive, on=True):
        self._set(drive, 9, int(on))

    def heal(self):
        self._map[:] = bytes(64 * ROW_BYTES)
