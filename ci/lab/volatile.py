# SPDX-License-Identifier: Apache-2.0
"""A drive's medium with a volatile cache in front of it, which can lose its power.

The medium is a sparse file. What is written stands in memory until a flush, and reads see it:

    write --> cache: the writes since the last flush, in their order --flush--> file
                |                                                                ^
                +-- full: some of them, drawn --> written out -------------------+
                +-- cut: a part of them, drawn --> written out; the others are lost

Invariants
 I1  A write that was answered before a flush came is in the file when the flush is answered.
 I2  A write with FUA is in the file when it is answered, and no older one comes over it later.
 I3  At a cut any part of what is in the cache may reach the file: none, all, each write or not, or
     each sector of each write or not. A sector is never torn. Of several writes to one sector any
     may be what stays, not only the newest.
 I4  The cache has at most cache_bytes_max bytes and cache_writes_max writes.
 I5  All that is drawn comes from one seed, in the order of the calls; how a cut goes does not
     depend on what was drawn before it.

A zeroed or discarded range is a write like others, without bytes; a discarded one gives up its room
in the file.

Not responsible for: the host's own power. Nothing is synced to its disk.
"""

import ctypes
import dataclasses
import errno
import os
import random

CACHE_BYTES_MAX = 64 << 20
CACHE_WRITES_MAX = 4096
# A long range without bytes is torn into so many pieces at most.
PIECES_MAX = 4096
MODES = ("none", "all", "writes", "sectors")
# Of the writes or sectors that may reach the file at a cut, the share that does.
SHARES = (0.1, 0.5, 0.9)

FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE, FALLOC_ZERO_RANGE = 1, 2, 16
ZEROES = bytes(1 << 20)


@dataclasses.dataclass
class Write:
    """A range that is in the cache. Without bytes it holds zeroes."""

    number: int
    offset: int
    end: int
    data: memoryview = None
    punch: bool = False

    def part(self, offset, end):
        data = None if self.data is None else self.data[offset - self.offset : end - self.offset]
        return Write(self.number, offset, end, data, self.punch)

    def cached_bytes(self):
        return 0 if self.data is None else len(self.data)


@dataclasses.dataclass
class Cut:
    """What a cut of the power came to."""

    mode: str
    share: float
    writes: int  # that were in the cache
    bytes: int  # of these, ranges of zeroes included
    bytes_kept: int

    def __str__(self):
        share = f" at {self.share}" if self.mode in ("writes", "sectors") else ""
        return (f"cut, {self.mode}{share}: {self.writes} writes of {self.bytes} bytes in the "
                f"cache, {self.bytes_kept} bytes kept")


class Volatile:
    """The medium and its cache. One caller at a time."""

    def __init__(self, path, size, seed, sector_bytes=512, cache_bytes_max=CACHE_BYTES_MAX,
                 cache_writes_max=CACHE_WRITES_MAX):
        if size <= 0 or size % sector_bytes != 0:
            raise ValueError(f"{size} bytes are not a number of sectors of {sector_bytes}")
        self.size = size
        self.sector_bytes = sector_bytes
        self.cache_bytes_max = cache_bytes_max
        self.cache_writes_max = cache_writes_max
        self.random = random.Random(seed)
        self._cut_random = random.Random(f"{seed}, cut")
        self.pending = []
        self.pending_bytes = 0
        self.number = 0  # of the next write
        self.counts = {"reads": 0, "writes": 0, "fua": 0, "zeroes": 0, "trims": 0, "flushes": 0,
                       "written_out": 0, "cached_bytes_max": 0, "cached_writes_max": 0}
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._fd, size)

    def close(self):
        """Gives the file back as it is. What is in the cache is lost."""
        os.close(self._fd)
        self.pending = []

    # ---- what a drive is asked ------------------------------------------------------------------

    def read(self, offset, length):
        self.counts["reads"] += 1
        end = offset + length
        data = bytearray(os.pread(self._fd, length, offset))
        assert len(data) == length, "a read stays within the medium"
        for write in self.pending:
            low, high = max(offset, write.offset), min(end, write.end)
            if low < high:
                part = write.part(low, high).data
                data[low - offset : high - offset] = bytes(high - low) if part is None else part
        return data

    def write(self, offset, data, fua=False):
        self.counts["writes"] += 1
        self._add(offset, offset + len(data), memoryview(data), False, fua)

    def zero(self, offset, length, punch, fua=False):
        self.counts["trims" if punch else "zeroes"] += 1
        self._add(offset, offset + length, None, punch, fua)

    def flush(self, answered=None):
        """Those numbered below `answered` are in the file then; of the others, each or not."""
        self.counts["flushes"] += 1
        answered = self.number if answered is None else answered
        covered = [write for write in self.pending if write.number < answered]
        others = [write for write in self.pending if write.number >= answered]
        for write in covered:
            self._put(write)
        self._keep(others)
        for number in sorted({write.number for write in others}):
            if self.random.random() < 0.5:
                self._write_out(number)

    # ---- the power ------------------------------------------------------------------------------

    def cut(self, mode=None):
        """A part of the cache reaches the file, the rest is lost. Returns the Cut."""
        draw = self._cut_random
        drawn, share = draw.choice(MODES), draw.choice(SHARES)
        mode = mode or drawn
        cut = Cut(mode, share, len({write.number for write in self.pending}),
                  sum(write.end - write.offset for write in self.pending), 0)
        kept = {"none": 0.0, "all": 1.0}.get(mode, share)
        chosen = {write.number: draw.random() < kept for write in self.pending}
        for write in self.pending:
            if mode == "sectors":
                cut.bytes_kept += self._put_some(write, share)
            elif chosen[write.number]:
                self._put(write)
                cut.bytes_kept += write.end - write.offset
        self._keep([])
        return cut

    # ---- inside ---------------------------------------------------------------------------------

    def _keep(self, writes):
        self.pending = writes
        self.pending_bytes = sum(write.cached_bytes() for write in writes)

    def _add(self, offset, end, data, punch, fua):
        write = Write(self.number, offset, end, data, punch)
        self.number += 1
        self.pending.append(write)
        self.pending_bytes += write.cached_bytes()
        self.counts["cached_bytes_max"] = max(self.counts["cached_bytes_max"], self.pending_bytes)
        self.counts["cached_writes_max"] = max(self.counts["cached_writes_max"], len(self.pending))
        if fua:
            self.counts["fua"] += 1
            self._write_out(write.number)
        while (self.pending_bytes > self.cache_bytes_max
               or len(self.pending) > self.cache_writes_max):
            self.counts["written_out"] += 1
            self._write_out(self.random.choice(self.pending).number)

    def _write_out(self, number):
        """One write goes to the file before its time: what is older must not come over it."""
        out = [write for write in self.pending if write.number == number]
        rest = [write for write in self.pending if write.number != number]
        for write in out:
            self._put(write)
            rest = [part for other in rest for part in
                    (without(other, write.offset, write.end) if other.number < number else [other])]
        self._keep(rest)

    def _put(self, write):
        if write.data is not None:
            done = os.pwrite(self._fd, write.data, write.offset)
            assert done == len(write.data)
            return
        mode = FALLOC_KEEP_SIZE | (FALLOC_PUNCH_HOLE if write.punch else FALLOC_ZERO_RANGE)
        length = write.end - write.offset
        if self._libc.fallocate(self._fd, mode, ctypes.c_int64(write.offset),
                                ctypes.c_int64(length)) == 0:
            return
        if ctypes.get_errno() not in (errno.EOPNOTSUPP, errno.EINTR):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        for offset in range(write.offset, write.end, len(ZEROES)):
            os.pwrite(self._fd, ZEROES[: write.end - offset], offset)

    def _put_some(self, write, share):
        """Of the sectors that a write touches, each or not; returns the bytes of those."""
        step = self.sector_bytes
        if write.data is None:
            pieces = (write.end - write.offset) // step
            step *= max(1, -(-pieces // PIECES_MAX))
        kept = 0
        run = None  # sectors in a row go as one
        for offset in range(write.offset // step * step, write.end, step):
            if self._cut_random.random() < share:
                low, high = max(offset, write.offset), min(offset + step, write.end)
                run = (run[0] if run else low, high)
                kept += high - low
            elif run:
                self._put(write.part(*run))
                run = None
        if run:
            self._put(write.part(*run))
        return kept


def without(write, offset, end):
    """What is left of a write outside of a range: nothing, one part or two."""
    if write.end <= offset or end <= write.offset:
        return [write]
    parts = []
    if write.offset < offset:
        parts.append(write.part(write.offset, offset))
    if end < write.end:
        parts.append(write.part(end, write.end))
    return parts
