#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A prefix cache in Python, as an inference engine would have one: a conversation's blocks are
looked up, those that are there are loaded into one array, the others are computed and stored.

    MEMKV_SERVERS=127.0.0.1:9900 ./prefix_cache.py CONVERSATION BLOCKS

Run it twice: the first run computes all blocks, the second loads them.
"""

import sys

import memkv
import numpy

BLOCK_FLOATS = 256 * 1024
BLOCKS_MAX = 1024


def compute(block, index):
    """Stands for what the engine would compute."""
    block[:] = numpy.random.default_rng(index).random(BLOCK_FLOATS, dtype=numpy.float32)


def main(conversation, block_count):
    # Real keys are hashes of the tokens up to and with the block.
    keys = [f"{conversation}/{index}" for index in range(block_count)]
    blocks = numpy.empty((block_count, BLOCK_FLOATS), dtype=numpy.float32)
    with memkv.Client() as client:
        resident = client.lookup(keys)
        loads = client.batch(map(memkv.Get, keys[:resident], blocks))
        # A block that cannot be loaded is one to compute, not an error.
        missing = [index for index, load in enumerate(loads) if not load.ok]
        missing += range(resident, block_count)
        for index in missing:
            compute(blocks[index], index)
        # Relaxed: the answer need not wait for the drive; a crash costs a block, no more.
        for store in client.batch(memkv.Put(keys[index], blocks[index], relaxed=True)
                                  for index in missing):
            if not store.ok:
                print(f"not stored: {store.status.name}", file=sys.stderr)
    print(f"{block_count} blocks: {block_count - len(missing)} loaded, {len(missing)} computed")


if __name__ == "__main__":
    if len(sys.argv) != 3 or not 1 <= int(sys.argv[2]) <= BLOCKS_MAX:
        sys.exit(f"usage: prefix_cache.py CONVERSATION BLOCKS (1 to {BLOCKS_MAX})")
    main(sys.argv[1], int(sys.argv[2]))
