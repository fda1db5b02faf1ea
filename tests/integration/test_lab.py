#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""memkv on raw NVMe drives, in machines with a kernel of their own: drives that go and come back,
fail in places, and are told of room that nobody needs. What the machines themselves can do, too."""

import errno
import mmap
import os
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

from lab_node import ADDRESS, Drive, Errors, Fault, LabNode, machine
from lab import kernel
from lab.keeper import die_with_parent
from node import BUILD, SOURCE

LAB = os.path.join(SOURCE, "ci/lab/run")
KEEPER = os.path.join(SOURCE, "ci/lab/keeper.py")
LONG = os.environ.get("MKV_LONG") == "1"
LAB_S_MAX = 400
SUITE = os.path.join(BUILD, "tests/unit/backends-drive_conformance_test")
SUITE_S_MAX = 300
MACHINE_S_MAX = 1700
WAIT_S_MAX = 90
UNIT = 4096
VALUE_BYTES = 300_000

TWO_MACHINES = """
set -e
echo "machine $MACHINE of $MACHINES has $DRIVES"
[ "$(cat /sys/block/nvme0n1/queue/logical_block_size)" = 4096 ]
[ "$(cat /sys/block/nvme0n1/queue/write_cache)" = "write through" ]
# The other one may come up a while after this one; what it is sent before is lost.
step=0
until ping -c 1 -W 2 "$OTHER" >/dev/null; do
    step=$((step + 1)); [ $step -lt 100 ] || exit 1; sleep 0.2
done
cat /root/taken >/out/back
echo "$ADDRESS" >>/out/back
# The one stays until the other has seen it.
if [ "$MACHINE" = 1 ]; then echo seen | nc -l -p 7000 -w 200; else
    until echo seen | nc -w 60 "$OTHER" 7000; do sleep 0.2; done
fi >/dev/null
exit $((4 + MACHINE))
"""


class ToolTest(unittest.TestCase):
    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory(prefix="memkv-lab-test-"))

    def path(self, name, text=None):
        path = os.path.join(self.folder, name)
        if text is not None:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        return path

    def lab(self, *arguments, **options):
        options = {"preexec_fn": die_with_parent, **options}
        return subprocess.run([sys.executable, LAB, *arguments], capture_output=True, text=True,
                              check=False, timeout=LAB_S_MAX, **options)

    def test_script__on_two_machines__status_words_and_files_come_back(self):
        done = self.lab("--machines", "2", "--sector", "4096", "--write-through", "--memory", "512",
                        "--file", self.path("taken", "taken along\n"), "--out", self.path("out"),
                        self.path("script", TWO_MACHINES))
        self.assertEqual(done.returncode, 5, done.stdout + done.stderr)
        for number in "12":
            self.assertIn(f"{number}: machine {number} of 2 has /lab/drives/d0\n", done.stdout)
            self.assertIn(f"machine {number} was up after", done.stderr)
            with open(self.path(f"out/{number}/back"), encoding="utf-8") as file:
                self.assertEqual(file.read(), f"taken along\n10.77.0.{number}\n")

    def test_lab__no_qemu__says_what_to_install(self):
        done = self.lab(self.path("script", "exit 0\n"),
                        env={**os.environ, "PATH": self.path("nothing")})
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("there is no qemu-system-x86_64; install it: apt-get install "
                      "qemu-system-x86", done.stderr)

    def test_lab__no_room_for_the_machine__says_so_and_fails(self):
        def little_room():
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

        done = self.lab("--drives", "0", self.path("script", "exit 0\n"), preexec_fn=little_room)
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        self.assertRegex(done.stderr, "machine 1 cannot be put together in .*: File too large; "
                         "TMPDIR names another place")
        self.assertNotIn("Traceback", done.stderr)

    def test_kernels__a_newer_one_is_made__those_in_use_stay(self):
        # Another tree may be about to boot the one of an hour ago.
        for name, hours in (("kernel-new", 0), ("kernel-used", 1), ("kernel-old", 100)):
            os.mkdir(self.path(name))
            os.utime(self.path(name), (time.time() - hours * 3600,) * 2)
        kernel.forget_old(self.folder)
        self.assertEqual(kernel.kernels(self.folder),
                         [self.path("kernel-used"), self.path("kernel-new")])

    def test_keeper__who_asked_is_killed__command_ends(self):
        # The shell stands for a test, which has the keeper's standard input open.
        shell = subprocess.Popen(
            ["sh", "-c", f"sleep 600 | {sys.executable} {KEEPER} 600 sh -c 'echo $$; sleep 601'"],
            stdout=subprocess.PIPE, text=True, start_new_session=True)
        kept = int(shell.stdout.readline())
        os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()
        shell.stdout.close()
        end = time.monotonic() + WAIT_S_MAX
        while os.path.exists(f"/proc/{kept}"):
            self.assertLess(time.monotonic(), end, "the command outlives its keeper")
            time.sleep(0.05)

    def test_keeper__time_is_over__command_is_killed(self):
        with subprocess.Popen([sys.executable, KEEPER, "0.2", "sleep", "600"],
                              stdin=subprocess.PIPE) as keeper:
            self.assertEqual(keeper.wait(WAIT_S_MAX), 124)


class LabTest(unittest.TestCase):
    """One machine for all of these, which is booted once."""

    @classmethod
    def setUpClass(cls):
        # A small drive has few extents, and many sizes of values would evict one another.
        cls.machine = cls.enterClassContext(machine(
            [Drive("a", "4GiB"), Drive("b", "4GiB", sector=4096), Drive("small", "192MiB"),
             Drive("wide", "192MiB", sector=4096)],
            ["dmsetup", *([SUITE] if LONG else [])], seconds=MACHINE_S_MAX))
        start = time.monotonic()
        cls.machine.boot()
        print(f"up after {time.monotonic() - start:.1f} s")

    def setUp(self):
        self.machine.sh("""
            for drive in $DRIVES; do
                step=0
                until blkdiscard $drive 2>/lab/why; do
                    step=$((step + 1)); [ $step -lt 200 ] || { cat /lab/why; exit 1; }
                    sleep 0.2
                done
            done""")
        self.errors = Errors(self.machine)
        self.nodes = []
        self.addCleanup(self.end)

    def end(self):
        for node in self.nodes:
            node.end()
        # The kernel lets go of a drive a moment after a process that had it has ended.
        self.machine.sh("""
            step=0
            while dmsetup info places >/dev/null 2>&1; do
                step=$((step + 1)); [ $step -lt 200 ] || exit 1
                dmsetup remove places >/dev/null 2>&1 || sleep 0.2
            done""")

    def node(self, *names, **options):
        """A node of its own folder on these drives, or on devices by their path."""
        devices = [name if name.startswith("/") else f"/lab/drives/{name}" for name in names]
        node = LabNode(self.machine, devices, f"/root/node-{self._testMethodName}", **options)
        self.nodes.append(node)
        return node.start()

    def write_value(self, name, size=VALUE_BYTES):
        self.machine.sh(f"dd if=/dev/urandom of=/root/{name} bs={size} count=1 2>/dev/null")

    def place(self, drive, name):
        """Where on the drive the value lies: the first unit of its payload."""
        head = self.machine.read(f"/root/{name}")[:UNIT]
        with open(self.machine.drives[drive].path, "rb") as file, \
                mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as image:
            at = image.find(head)
        self.assertGreater(at, 0, "the value is not on the drive")
        self.assertEqual(at % UNIT, 0)
        return at

    def same(self, node, key, name):
        node.command(f"get {key} /root/back")
        self.machine.sh(f"cmp /root/back /root/{name}")

    # ---- a drive goes and comes back ------------------------------------------------------------

    def test_drive__unplugged_under_load_and_back__other_unharmed_then_healthy(self):
        node = self.node("a", "b")
        self.assertEqual(node.health(), "healthy")
        load = "--threads 2 --keys 40 --bytes-max 262144"
        node.load("run", "still", f"{load} --seconds 2")
        there = node.load("verify", "still", load)["gets"]
        node.until_blocks(there)
        blocks = {name: device["blocks"] for name, device in node.devices().items()}
        self.assertGreater(min(blocks.values()), 0)

        self.errors.take()
        node.load_begin("busy", f"{load} --allow-missing --seconds 4")
        node.until("load", f"[ $(grep -c '^d p' {node.folder}/busy.log) -gt 20 ]")
        self.machine.unplug("a")
        node.until("degraded", "ask /v1/health | grep -q '\"status\":\"degraded\"'")
        # Such a drive has no size any more: writes end with ENOSPC, reads with no byte, and what is
        # under way or a flush with EIO.
        self.assertLessEqual(self.errors.take(), {errno.ENOSPC, errno.EIO, errno.ENODEV})
        self.assertIn("drive d00 failed and is offline (gone)", node.log())
        sums = node.load_end("busy")
        self.assertGreater(sums["puts"], 20)
        # Nobody has touched these: what the other drive has is there, all the rest is misses.
        sums = node.load("verify", "still", f"{load} --allow-missing")
        self.assertEqual((sums["gets"], sums["missing"]), (blocks["d01"], blocks["d00"]))
        node.load("verify", "busy", f"{load} --allow-missing")
        self.assertEqual(node.http("/v1/ready")[0], 200)

        self.machine.plug("a")
        node.until("the drive", "[ -b /lab/drives/a ]")
        node.admin("drive online d00")
        node.until("healthy", "ask /v1/health | grep -q '\"status\":\"healthy\"'")
        node.load("run", "busy", f"{load} --allow-missing --seconds 1")
        sums = node.load("verify", "busy", f"{load} --allow-missing")
        self.assertGreater(sums["gets"], 0)
        self.assertEqual(node.devices()["d00"]["state"], "online")
        node.stop()

    # ---- a drive fails in places ----------------------------------------------------------------

    def check_places(self, node, drive, number, fail, heal):
        """`fail(operation, first, end)` makes the drive fail these bytes; the daemon has to see
        that error number, and go on as far as it can."""
        for name in ("one", "two", "three"):
            self.write_value(name)
        node.command("put one /root/one")
        node.command("put two /root/two")
        place = self.place(drive, "one")
        geometry = self.geometry(drive)
        node.stop()
        node.start()  # nothing is in memory now
        self.errors.take()

        fail("read", place, place + VALUE_BYTES // UNIT * UNIT)
        self.assertIn(node.command("get one /root/back", check=False).status, (1, 4))
        self.assertEqual(self.errors.take(), {number})
        self.same(node, "two", "two")
        self.assertEqual(node.health(), "healthy")
        heal()

        fail("write", geometry["data"], geometry["end"])
        self.assertNotEqual(node.command("put three /root/three", check=False).status, 0)
        self.assertEqual(self.errors.take(), {number})
        self.same(node, "two", "two")
        heal()
        node.command("put three /root/three")
        self.same(node, "three", "three")

        fail("write", geometry["ring"], geometry["ring_end"])
        self.assertNotEqual(node.command("put four /root/one", check=False).status, 0)
        node.until("the failure", "ask /v1/health | grep -q '\"status\":\"unhealthy\"'")
        self.assertEqual(self.errors.take(), {number})
        self.assertEqual(node.http("/v1/live")[0], 200)
        heal()
        node.stop()
        node.start()
        self.assertEqual(node.health(), "healthy")
        self.same(node, "two", "two")
        self.same(node, "three", "three")
        self.assertEqual(self.errors.take(), set())
        node.stop()

    def geometry(self, drive):
        """Where the regions of a formatted drive are, in bytes (docs/on-disk-format.md)."""
        with open(self.machine.drives[drive].path, "rb") as file:
            unit = file.read(UNIT)
        self.assertEqual(unit[:8], b"MEMKVSB\0")
        directory, = struct.unpack_from("<I", unit, 124)
        capacity, ring, pages, extent, extents = struct.unpack_from("<QIIII", unit, 128)
        tenants, = struct.unpack_from("<I", unit, 164)
        data = 16 + 2 * ring + 2 * (1 + tenants + pages) + directory
        self.assertLess(data + extents * extent, capacity)
        return {"ring": 16 * UNIT, "ring_end": (16 + 2 * ring) * UNIT, "data": data * UNIT,
                "end": (data + extents * extent) * UNIT}

    def test_drive__medium_errors_in_places__enodata(self):
        def fail(operation, first, end):
            # A value is hit by every such rule that lies in it, and rules are not free.
            step = max(UNIT, (end - first) // 700 // UNIT * UNIT)
            self.assertLess(step, VALUE_BYTES)
            self.machine.set_faults("wide", *(Fault(operation, offset) for offset in
                                           range(first, end, step)))

        self.check_places(self.node("wide"), "wide", errno.ENODATA, fail,
                          lambda: self.machine.set_faults("wide"))

    def test_drive__device_errors_in_places__eio(self):
        sectors = self.machine.drives["small"].size_bytes // 512

        def table(*lines):
            text = "\n".join(f"{first // 512} {(end - first) // 512} {target}" for
                             first, end, target in lines if end > first)
            self.machine.sh(f"dmsetup reload places <<'END' && dmsetup suspend --noflush places && "
                            f"dmsetup resume places\n{text}\nEND\n")

        def linear(first, end):
            return first, end, f"linear /lab/drives/small {first // 512}"

        def fail(operation, first, end):
            broken = ("error" if operation == "read" else
                      f"flakey /lab/drives/small {first // 512} 0 86400 1 error_writes")
            table(linear(0, first), (first, end, broken), linear(end, sectors * 512))

        self.machine.sh(f"dmsetup create places --table '0 {sectors} linear /lab/drives/small 0' "
                        "&& dmsetup mknodes")
        self.check_places(self.node("/dev/mapper/places"), "small", errno.EIO, fail,
                          lambda: table(linear(0, sectors * 512)))

    # ---- the conformance suite ------------------------------------------------------------------

    def conformance(self, drive):
        """The suite of tests/unit/backends on the drive; how many tests passed."""
        done = self.machine.sh(f"MKV_TEST_DEVICE=/lab/drives/{drive} {os.path.basename(SUITE)}",
                               seconds=SUITE_S_MAX, check=False)
        self.assertEqual(done.status, 0, done.said)
        self.assertNotIn("SKIPPED", done.said)
        return done.said.count("[       OK ]")

    # 20 s of a processor each; files and loop devices have the suite in every run.
    @unittest.skipUnless(LONG, "the conformance suite on NVMe drives runs with --long")
    def test_drive__wide_sectors_and_a_cache__conforms(self):
        self.assertGreater(self.conformance("wide"), 50)

    @unittest.skipUnless(LONG, "the conformance suite on NVMe drives runs with --long")
    def test_drive__narrow_sectors_and_no_cache__conforms(self):
        cache = "/sys/block/$(basename $(readlink /lab/drives/small))/queue/write_cache"
        self.machine.sh(f"echo write through >{cache}")
        self.assertGreater(self.conformance("small"), 50)
        self.machine.sh(f"echo write back >{cache}")

    # ---- room that nobody needs -----------------------------------------------------------------

    def test_drive__blocks_deleted__image_shrinks(self):
        node = self.node("wide")
        drive = self.machine.drives["wide"]
        self.write_value("big", 4 << 20)
        keys = " ".join(f"big-{number}" for number in range(10))
        self.machine.sh(f"for key in {keys}; do memkv put --server {ADDRESS} $key /root/big || "
                        "exit 1; done", seconds=WAIT_S_MAX)
        full = drive.allocated_bytes()
        self.assertGreater(full, 10 * (4 << 20))
        self.machine.sh(f"for key in {keys}; do memkv delete --server {ADDRESS} $key || exit 1; "
                        "done", seconds=WAIT_S_MAX)
        end = time.monotonic() + WAIT_S_MAX
        while drive.allocated_bytes() > full // 2:
            self.assertLess(time.monotonic(), end, f"{drive.allocated_bytes()} of {full} bytes")
            time.sleep(0.2)
        node.stop()


if __name__ == "__main__":
    unittest.main()
