# SPDX-License-Identifier: Apache-2.0
"""Stores in a machine of the lab whose drives lose their power, and load on them from outside.

    load_client ──TCP── QEMU { kernel, memkv, NVMe } ──NBD── ci/lab/nbd.py: cache ── file
         └── log of what was acknowledged                        └── forgets at the cut

The log is written by a process outside of the machine, so it has left it before any cut. A cut is
one moment: at a drawn write or flush the drive stops, carries nothing out and answers nothing. What
then goes with the power goes in one of two ways.

- The machine is killed with all that it had in memory and under way; it boots again.
- In the machine the node is killed, while its drive still answers nothing; then the drive is
  pulled out and put in again. The kernel stays, but it had nothing of the store: the node's I/O
  goes past its cache, and all it knows of the drive goes with the drive. So this is no easier to
  survive: from the moment of the cut the node got no answer from its drive, as if it had been gone.

Between the two the drive keeps a drawn part of its cache and loses the rest.
"""

import os
import random
import shutil
import sys
import tempfile
import time

from load import Load
from node import BUILD, SOURCE

sys.path.insert(0, os.path.join(SOURCE, "ci"))
from lab import nbd
from lab.machine import Drive, Machine
from lab.volatile import Volatile

UNFLUSHED = os.path.join(BUILD, "tests", "integration", "memkv-unflushed")
DRIVE_BYTES = 4 << 30
MACHINE_S_MAX = 900
READY_S_MAX = 120
PLUG_STEPS_MAX = 600
LOOK_AGAIN_S = 0.1
CONFIGURATION = """\
memory:
  max_size: 72MiB
  hugepages: off
network:
  auth: none
storage:
  mode: direct
  block_bytes_max: 1MiB
  drives:
    - media: /lab/drives/{name}
log:
  format: text
"""


class Lost(AssertionError):
    """The store does not open any more."""


class PoweredMachine:
    """A machine, booted when it is first needed and after each kill; drives come and go."""

    def __init__(self, programs):
        self.programs = programs
        self.machine = None
        self.boots = 0

    def on(self):
        if self.machine is None:
            self.machine = Machine([], self.programs, memory_mib=512, network="user",
                                   modules=["nvme"], seconds=MACHINE_S_MAX)
            self.machine.boot()
            self.boots += 1
        return self.machine

    def off(self):
        if self.machine is not None:
            self.machine.close()
            self.machine = None


class PoweredStore:
    """A drive with a node on it, both of which lose their power, over and over."""

    def __init__(self, place, program, port, sector_bytes=512):
        self.place = place
        self.program = os.path.basename(program)
        self.port = port
        self.name = f"d{port}"
        self.sector_bytes = sector_bytes
        self.directory = tempfile.mkdtemp(prefix="memkv-power-")
        self.folder = f"/root/{self.name}"
        self.lives = 0
        self.medium = self.server = self.address = self.forwarded_by = None

    # What load.py asks of a store.

    @property
    def node(self):
        return self

    @property
    def lines(self):
        return [self.said()]

    @property
    def errors(self):
        return []

    # ---- lives ----------------------------------------------------------------------------------

    def power_on(self, seed, mutations=None):
        """Puts the drive in and starts the node. With `mutations` the power goes at that one."""
        machine = self.place.on()
        self.lives += 1
        path = os.path.join(self.directory, f"socket-{self.lives}")
        self.medium = Volatile(os.path.join(self.directory, "image"), DRIVE_BYTES, seed,
                               self.sector_bytes)
        self.server = nbd.Server(path, self.medium)
        if mutations is not None:
            self.server.arm(mutations)
        drive = Drive(self.name, DRIVE_BYTES, self.sector_bytes, nbd=path)
        machine.monitor.command("blockdev-add", **drive.storage())
        machine.monitor.command("blockdev-add", **drive.top("storage"))
        machine.monitor.command("device_add", **drive.device())
        machine.sh(f"""
            mkdir -p {self.folder}
            cat >{self.folder}/memkv.yaml <<'END'
{CONFIGURATION.format(name=self.name)}END
            step=0
            until [ -b /lab/drives/{self.name} ]; do
                step=$((step + 1))
                [ $step -lt {PLUG_STEPS_MAX} ] || exit 1
                sleep 0.1
            done
            setsid {self.program} start --config {self.folder}/memkv.yaml \
                --listen 10.0.2.15:{self.port} >{self.folder}/said 2>&1 </dev/null &
            echo $! >{self.folder}/pid""", seconds=PLUG_STEPS_MAX)
        if self.address is None or self.forwarded_by is not machine:
            self.address = f"127.0.0.1:{machine.forward(self.port)}"
            self.forwarded_by = machine

    def ready(self):
        """Waits until the node serves, True, or the drive has stopped, False."""
        end = time.monotonic() + READY_S_MAX
        while not self.server.wait_frozen(LOOK_AGAIN_S):
            state = self.place.machine.sh(
                f"grep -q 'ready in ' {self.folder}/said && echo ready; "
                f"kill -0 $(cat {self.folder}/pid) 2>/dev/null || echo ended").said
            if "ended" in state:
                raise Lost(f"the store does not open:\n{self.said()}")
            if "ready" in state:
                return True
            if time.monotonic() > end:
                raise AssertionError(f"the node is not ready in {READY_S_MAX} s:\n{self.said()}")
        return False

    def said(self):
        """What the node has said."""
        machine = self.place.machine
        return machine.sh(f"cat {self.folder}/said").said if machine else "(it has no power)"

    def cut(self, whole_machine):
        """Takes the power away in one moment. What the drive's cache came to."""
        self.server.freeze()
        if whole_machine:
            self.place.off()
            cut = self.server.cut()
        else:
            # The kill takes effect at once; the process is gone when its I/O has failed.
            machine = self.place.machine
            machine.sh(f"kill -9 $(cat {self.folder}/pid)")
            cut = self.server.cut()
            machine.sh(f"while kill -0 $(cat {self.folder}/pid) 2>/dev/null; do sleep 0.1; done",
                       seconds=MACHINE_S_MAX)
            self._pull_out(machine)
        self._give_up()
        return cut

    def close(self):
        if self.server is not None:
            machine = self.place.machine
            if machine is not None:
                machine.sh(f"kill -9 $(cat {self.folder}/pid)", check=False)
                self._pull_out(machine)
            self._give_up()
        shutil.rmtree(self.directory)

    def _pull_out(self, machine):
        machine.unplug(self.name)
        for node in (self.name, f"{self.name}-storage"):
            machine.monitor.command("blockdev-del", **{"node-name": node})

    def _give_up(self):
        self.server.close()
        self.medium.close()
        self.server = self.medium = None


class Cuts:
    """Lives of a store one after another, each under load, each ended by a cut. Moments and what
    the cache keeps follow from the seed alone; what is under way then depends on time as well."""

    LOAD = ("--threads", "8", "--keys", "16", "--bytes-max", str(256 << 10))
    LOAD_S_MAX = 20
    # A cut comes at one of so many writes and flushes: of the load, or of the node's start, which
    # is the turn of the second of each three.
    MUTATIONS_MIN, MUTATIONS_MAX = 20, 600
    MUTATIONS_OF_START_MAX = 9

    def __init__(self, store, seed):
        self.store = store
        self.load = Load(store, *self.LOAD)
        self.seed = seed
        self.number = 0
        self.sums = {}

    def _add(self, totals):
        for name, count in totals.items():
            self.sums[name] = self.sums.get(name, 0) + int(count)

    def __getitem__(self, name):
        return self.sums.get(name, 0)

    def one(self, whole_machine=False):
        """A life: verifies what is owed, is loaded, and loses its power."""
        self.number += 1
        seed = self.seed * 1000 + self.number
        draw = random.Random(seed)
        in_start, in_load = (draw.randint(1, self.MUTATIONS_OF_START_MAX),
                             draw.randint(self.MUTATIONS_MIN, self.MUTATIONS_MAX))
        self.store.power_on(seed, in_start if self.number % 3 == 2 else None)
        serves = self.store.ready()
        if serves:
            self.store.server.arm(None)
            # It may have come between the node's last word and now: the drive says nothing more.
            serves = not self.store.server.wait_frozen(0)
        if serves:
            self._add(self.load.verify())
            self.load.begin("--seconds", str(self.LOAD_S_MAX), "--seed", str(seed))
            self.store.server.arm(in_load)
            self.store.server.wait_frozen(self.LOAD_S_MAX)
        counts = dict(self.store.medium.counts)
        cut = self.store.cut(whole_machine)
        if serves:
            self._add(self.load.end())
        print(f"seed {self.seed}, cut {self.number} {'with' if whole_machine else 'within'} the "
              f"machine, {in_load if serves else in_start} writes and flushes into the "
              f"{'load' if serves else 'start'}: {cut}; the drive had {counts['writes']} writes, "
              f"{counts['flushes']} flushes, {counts['fua']} FUA", flush=True)

    def last(self):
        """Once more with power: verifies."""
        self.number += 1
        self.store.power_on(self.seed * 1000 + self.number)
        self.store.ready()
        self._add(self.load.verify())

    def __str__(self):
        return (f"acknowledged {self['puts']} puts and {self['deletes']} deletes, verified "
                f"{self['gets']} blocks and {self['misses']} absent ones; under way when the power "
                f"went: {self['settled_old']} undone, {self['settled_new']} done")
