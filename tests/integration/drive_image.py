# SPDX-License-Identifier: Apache-2.0
"""A reader of drive images that knows docs/on-disk-format.md and nothing of the daemon's code: what
is on a drive, for tests that compare it with what the daemon says."""

import struct

UNIT = 4096
PAGE_SLOTS = 168
CLEAN, NO_CHECKPOINT = 1, 2
FREE, LIVE, RETIRED = 0, 1, 2
NONE = 0xFFFFFFFF


class Superblock:
    """One copy; `content` is what copies have to agree on."""

    def __init__(self, unit):
        self.content = unit[24:]
        (self.version, self.flags) = struct.unpack_from("<II", unit, 24)
        self.store_uuid, self.drive_uuid = unit[32:48], unit[48:64]
        (self.sequence, self.epoch, self.side, self.journal_sequence) = struct.unpack_from(
            "<QIIQ", unit, 64)
        (self.checkpoint, self.checkpoint_pages) = struct.unpack_from("<QI", unit, 112)
        (self.directory_units, self.capacity_units, self.ring_blocks, self.page_count,
         self.extent_units, self.extent_count) = struct.unpack_from("<IQIIII", unit, 124)
        (self.tenant_units,) = struct.unpack_from("<I", unit, 164)


class Page:
    """A page of the slot table: whose extent it is, and the states of its slots."""

    def __init__(self):
        self.extent, self.slot_units, self.span, self.stamp = NONE, 0, 0, 0
        self.states = [FREE] * PAGE_SLOTS
        self.generations = [0] * PAGE_SLOTS

    def give(self, extent, slot_units, span):
        self.extent, self.slot_units, self.span = extent, slot_units, span
        self.states = [FREE] * PAGE_SLOTS


class Image:
    """What recovery would find: the checkpoint, and the journal's records behind it."""

    def __init__(self, path):
        with open(path, "rb") as self.file:
            self.file.seek(0, 2)
            self.superblock = self._superblock(self.file.tell() // UNIT)
            self.pages = [Page() for _ in range(self.superblock.page_count)]
            if not self.superblock.flags & NO_CHECKPOINT:
                self._load_checkpoint()
            self.records = self._replay()

    def _units(self, first, count=1):
        self.file.seek(first * UNIT)
        return self.file.read(count * UNIT)

    def _superblock(self, capacity):
        copies = [self._units(unit) for unit in (0, 8, capacity - 9, capacity - 1)]
        copies = [Superblock(unit) for unit in copies if unit[:8] == b"MEMKVSB\0"]
        agreed = [copy for copy in copies
                  if sum(copy.content == other.content for other in copies) >= 2]
        return max(agreed, key=lambda copy: copy.sequence)

    # ---- the checkpoint

    def _load_checkpoint(self):
        block = self.superblock
        head = 16 + 2 * block.ring_blocks + block.side * (1 + block.tenant_units + block.page_count)
        first = head + 1 + block.tenant_units
        for number, page in enumerate(self.pages[:block.checkpoint_pages]):
            unit = self._units(first + number)
            magic, uuid, checkpoint = unit[:8], unit[16:32], struct.unpack_from("<Q", unit, 32)[0]
            if (magic, uuid, checkpoint) != (b"MEMKVCP\0", block.drive_uuid, block.checkpoint):
                raise ValueError(f"page {number} is not of checkpoint {block.checkpoint}")
            extent, slot_units, page.span = struct.unpack_from("<IHB", unit, 44)
            (page.stamp,) = struct.unpack_from("<Q", unit, 56)
            page.extent, page.slot_units = extent, slot_units
            for slot in range(PAGE_SLOTS):
                entry = 64 + slot * 24
                (page.generations[slot],) = struct.unpack_from("<I", unit, entry + 12)
                page.states[slot] = struct.unpack_from("<H", unit, entry + 22)[0] & 3

    # ---- the journal

    def _replay(self):
        block = self.superblock
        sequence, records = block.journal_sequence, 0
        while True:
            unit = self._units(16 + sequence % block.ring_blocks)
            if (unit[:8] != b"MEMKVJB\0" or unit[16:32] != block.drive_uuid or
                    struct.unpack_from("<Q", unit, 32)[0] != sequence):
                return records
            count, = struct.unpack_from("<I", unit, 72)
            at = 128
            for _ in range(count):
                at += self._apply(unit, at, sequence)
            records += count
            sequence += 1

    def _apply(self, unit, at, sequence):
        """Applies a record where the page has not seen it; returns its length."""
        kind = unit[at]
        if kind == 1:  # PUT
            slot, = struct.unpack_from("<I", unit, at + 16)
            generation, = struct.unpack_from("<I", unit, at + 24)
            self._set(slot, sequence, LIVE, generation)
        elif kind == 2:  # DROP
            slot, generation = struct.unpack_from("<II", unit, at + 4)
            retired = struct.unpack_from("<H", unit, at + 2)[0] & 1
            self._set(slot, sequence, RETIRED if retired else FREE, generation, was=generation)
        elif kind == 3:  # EXTENT
            extent, slot_units, first, count, back_first, back = struct.unpack_from(
                "<IIIIII", unit, at + 4)
            self._give(first, count, sequence, extent, slot_units, unit[at + 1])
            self._give(back_first, back, sequence, NONE, 0, 0)
        elif kind == 4:  # RETIRE
            slot, = struct.unpack_from("<I", unit, at + 4)
            self._set(slot, sequence, RETIRED, 0)
        return {1: 64, 2: 24, 3: 32, 4: 24, 5: 24, 6: 96, 7: 24}[kind]

    def _set(self, slot, sequence, state, generation, was=None):
        page, index = self.pages[slot // PAGE_SLOTS], slot % PAGE_SLOTS
        if page.stamp < sequence and was in (None, page.generations[index]):
            page.states[index] = state
            page.generations[index] = generation

    def _give(self, first, count, sequence, extent, slot_units, span):
        for page in self.pages[first:first + count]:
            if page.stamp < sequence:
                page.give(extent, slot_units, span)

    # ---- what that comes to

    def classes(self):
        """Slot units -> [extents, slots, slots that are not free]. A group has the slots that fit
        its extents, and numbers for no more than its pages have."""
        groups, classes = {}, {}
        for page in self.pages:
            if page.extent != NONE:
                groups.setdefault(page.extent, []).append(page)
        for pages in groups.values():
            units, span = pages[0].slot_units, pages[0].span
            row = classes.setdefault(units, [0, 0, 0])
            row[0] += span
            row[1] += min(span * self.superblock.extent_units // units, len(pages) * PAGE_SLOTS)
            row[2] += sum(state != FREE for page in pages for state in page.states)
        return classes

    def free_extents(self):
        return self.superblock.extent_count - sum(row[0] for row in self.classes().values())

    def live(self):
        return sum(page.states.count(LIVE) for page in self.pages)

    def raw_bytes(self):
        return self.superblock.capacity_units * UNIT

    def usable_bytes(self):
        return self.superblock.extent_count * self.superblock.extent_units * UNIT

    def used_bytes(self):
        return sum(units * UNIT * row[2] for units, row in self.classes().items())
