# SPDX-License-Identifier: Apache-2.0
"""memkv setup: from drives to a store that serves, and whom it refuses; with files and, where there
are any, with loop devices."""

import os
import re
import shutil
import struct
import subprocess
import tempfile
import unittest

from node import MEMKV, Node, run_memkv

USAGE, UNAVAILABLE, PERMISSION, CONFIGURATION = 64, 69, 77, 78
MIB = 1024 * 1024
FILE_BYTES = 300 * MIB
# Huge pages are the machine's, and setup asks for half of its memory.
SMALL = {"MEMKV_MEMORY_HUGEPAGES": "auto", "MEMKV_MEMORY_MAX_SIZE": "256MiB"}


class SetupTest(unittest.TestCase):
    def setUp(self):
        # Not below /tmp, which may be in memory, where O_DIRECT and loop devices do otherwise.
        self.folder = tempfile.mkdtemp(prefix="memkv-setup-", dir=os.environ.get("TMPDIR",
                                                                                 "/var/tmp"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def sparse(self, name, size=FILE_BYTES):
        with open(self.path(name), "wb") as file:
            file.truncate(size)
        return self.path(name)

    def good(self, *arguments):
        done = run_memkv("setup", "--drives", *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def refused(self, code, text, *arguments):
        done = run_memkv("setup", "--drives", *arguments)
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        self.assertIn(text, done.stderr)
        return done

    def keep(self, yaml):
        path = self.path("memkv.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(yaml)
        return path

    def serve(self, yaml, *, put=None, holds=None, misses=None):
        """Starts a node of this configuration and tries a key."""
        with Node("--config", self.keep(yaml), variables=SMALL) as node:
            node.ready()
            if put:
                done = node.command("put", put, self.sparse("value", 5000))
                self.assertEqual(done.returncode, 0, done.stderr)
            if holds:
                self.assertEqual(node.command("exists", holds).returncode, 0)
            if misses:
                self.assertEqual(node.command("exists", misses).returncode, 1)
            self.assertEqual(node.terminate(), 0, node.errors)


class FileTest(SetupTest):
    def test_files__made_formatted_and_served_by_what_is_printed(self):
        drives = f"{self.path('a')}=300MiB,{self.path('b')}=300MiB"
        first = self.good(drives)
        self.assertRegex(first.stdout, r"^# memkv store [0-9a-f-]{36}\nmemory:\n  max_size: ")
        self.assertIn("  mode: file\n", first.stdout)
        self.assertIn(f"    - media: {self.path('a')}\n      name: d00\n      size: 300MiB\n",
                      first.stdout)
        self.assertEqual(first.stderr.count("formatted\n"), 2)
        self.assertIn("a file of 300.00 MiB that is to be made", first.stderr)
        check = run_memkv("config", "check", self.keep(first.stdout))
        self.assertEqual(check.returncode, 0, check.stderr)
        self.assertIn("2 drives", check.stdout)
        self.serve(first.stdout, put="kept")

        again = self.good(drives, "--idempotent")
        self.assertEqual(again.stdout, first.stdout)
        self.assertEqual(again.stderr.count("is of this store, left as it is\n"), 2)
        self.serve(again.stdout, holds="kept")
        # The sizes need not be told again.
        again = self.good(f"{self.path('a')},{self.path('b')}", "--idempotent")
        self.assertEqual(again.stdout, first.stdout)

        # Nor does another size change what is there.
        again = self.good(f"{self.path('a')}=1GiB,{self.path('b')}", "--idempotent")
        self.assertEqual(again.stdout, first.stdout)
        self.assertIn("drive d00: it is there already and keeps its size", again.stderr)

        uuid = re.search(r"store ([0-9a-f-]{36})", first.stdout).group(1)
        self.refused(CONFIGURATION, f"belongs to memkv store {uuid}", drives)
        self.serve(first.stdout, holds="kept")
        forced = self.good(drives, "--force")
        self.assertNotIn(uuid, forced.stdout)
        self.assertEqual(forced.stderr.count("the memkv store on it is given up\n"), 2)
        self.serve(forced.stdout, misses="kept")

    def test_files__cut_short__idempotent_completes_the_store(self):
        drives = f"{self.path('a')}=300MiB,{self.path('b')}=300MiB"
        first = self.good(drives)
        os.remove(self.path("b"))  # as if its turn had not come
        again = self.good(drives, "--idempotent")
        self.assertEqual(again.stdout, first.stdout)
        self.assertIn("drive d00: is of this store, left as it is", again.stderr)
        self.assertIn("drive d01: formatted", again.stderr)
        self.serve(again.stdout, put="key")

    def test_files__of_two_stores__refused_also_when_idempotent(self):
        self.good(f"{self.path('a')}=300MiB")
        self.good(f"{self.path('b')}=300MiB")
        self.refused(CONFIGURATION, "belongs to store", f"{self.path('a')},{self.path('b')}",
                     "--idempotent")

    def test_relative_path__absolute_in_the_configuration(self):
        done = run_memkv("setup", "--drives", "store=300MiB", cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"media: {os.path.realpath(self.folder)}/store\n", done.stdout)

    def test_one_bad_drive__nothing_is_made_or_written(self):
        bad = self.sparse("bad")
        with open(bad, "r+b") as file:
            file.seek(1024 + 56)
            file.write(struct.pack("<H", 0xEF53))
        with open(bad, "rb") as file:
            before = file.read(MIB)
        done = self.refused(CONFIGURATION,
                            f"drive d01: {bad} holds an ext2 file system, which is not "
                            "overwritten, by --force neither. Name another drive; or, if nothing "
                            f"on it is needed, run: rm {bad}",
                            f"{self.path('a')}=300MiB,{bad}", "--force")
        self.assertNotIn("formatted", done.stderr)
        self.assertFalse(os.path.exists(self.path("a")))
        with open(bad, "rb") as file:
            self.assertEqual(file.read(MIB), before)

    def test_what_cannot_be__says_what_to_do(self):
        self.refused(CONFIGURATION, "is not there. For a file to be made give its size, "
                     f"{self.path('x')}=64GiB", self.path("x"))
        self.refused(CONFIGURATION, "has 64.00 MiB, and a drive of a store has 256.00 MiB at least",
                     self.sparse("small", 64 * MIB))
        self.refused(CONFIGURATION, "is the same as drive d00", f"{self.sparse('s')},{self.folder}"
                     "/./s")
        self.refused(CONFIGURATION, "is a directory", self.folder)
        self.refused(UNAVAILABLE, "device /dev/no-such-drive does not exist", "/dev/no-such-drive")
        self.refused(UNAVAILABLE, "this machine has no such RDMA device",
                     f"{self.path('y')}=300MiB", "--rdma", "no-such-device")
        self.assertFalse(os.path.exists(self.path("y")))
        self.refused(USAGE, "give one of them", "/x", "--force", "--idempotent")

    def test_drive_of_a_running_node__refused_with_its_pid(self):
        yaml = self.good(f"{self.path('a')}=300MiB").stdout
        with Node("--config", self.keep(yaml), variables=SMALL) as node:
            node.ready()
            self.refused(UNAVAILABLE, str(node.pid), self.path("a"), "--force")
            self.assertEqual(node.terminate(), 0)

    def test_without_options__a_list(self):
        done = run_memkv("setup")
        self.assertEqual((done.returncode, done.stdout), (0, ""))
        self.assertIn("nothing was opened or written", done.stderr)


class LoopTest(SetupTest):
    def device(self, name, *options, prepare=None):
        """A loop device on a sparse file; the test is skipped where there are none."""
        path = self.sparse(name)
        if prepare:
            prepare(path)
        made = subprocess.run(["losetup", "--find", "--show", "--direct-io=on", *options, path],
                              capture_output=True, text=True, check=False)
        if made.returncode != 0:
            self.skipTest(f"no loop device can be made here: {made.stderr.strip()}")
        device = made.stdout.strip()
        self.addCleanup(subprocess.run, ["losetup", "--detach", device], check=False)
        return device

    def tool(self, *command):
        if shutil.which(command[0]) is None:
            self.skipTest(f"{command[0]} is not installed")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            self.skipTest(f"{' '.join(command)}: {done.stderr.strip()}")

    def test_devices__formatted_and_served(self):
        drives = ",".join(self.device(name) for name in "ab")
        first = self.good(drives)
        self.assertIn("  mode: direct\n", first.stdout)
        self.assertNotIn("size:", first.stdout.split("drives:")[1])
        self.assertIn("sectors of 512 B", first.stderr)
        self.serve(first.stdout, put="kept")
        again = self.good(drives, "--idempotent")
        self.assertEqual(again.stdout, first.stdout)
        self.serve(again.stdout, holds="kept")

    def test_file_of_a_loop_device__refused(self):
        device = self.device("a")
        self.refused(UNAVAILABLE, f"is attached to {os.path.basename(device)}. Name the device "
                     "instead", self.path("a"))

    def test_file_system__named_and_overwritten_once_removed_as_told(self):
        device = self.device("a")
        self.tool("mkfs.ext4", "-q", "-L", "data", device)
        done = self.refused(CONFIGURATION, "holds an ext4 file system named data", device)
        self.refused(CONFIGURATION, "holds an ext4 file system named data", device, "--force")
        told = re.search(r"run: (for at in .* done)$", done.stderr.strip()).group(1)
        subprocess.run(["sh", "-c", told], check=True, capture_output=True)
        self.good(device)

    def test_mounted__never_overridden(self):
        device = self.device("a")
        self.tool("mkfs.ext4", "-q", device)
        point = self.path("mounted")
        os.mkdir(point)
        self.tool("mount", device, point)
        self.addCleanup(subprocess.run, ["umount", point], check=False)
        self.refused(UNAVAILABLE, f"{device} is mounted at {point}, which --force does not "
                     f"override. Name another drive; or, if nothing there is needed, run: umount "
                     f"{point}", device, "--force")

    def test_swap__never_overridden(self):
        device = self.device("a")
        self.tool("mkswap", device)
        self.refused(CONFIGURATION, "holds swap space", device)
        self.tool("swapon", device)
        try:
            self.refused(UNAVAILABLE, "is in use as swap space", device, "--force")
        finally:
            subprocess.run(["swapoff", device], check=True)

    def test_device_without_sysfs__refused_since_nobody_says_who_uses_it(self):
        device = self.device("a")
        self.tool("unshare", "--mount", "true")
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", f"mount -t tmpfs none /sys && exec {MEMKV} setup "
             f"--drives {device}"], capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout), (UNAVAILABLE, ""), done.stderr)
        self.assertIn(f"/sys does not tell what {device} is and who uses it", done.stderr)

    def test_partitions__named(self):
        def table(path):
            with open(path, "r+b") as file:
                file.seek(446)
                file.write(struct.pack("<B3sB3sII", 0, b"", 0x83, b"", 2048, 65536))
                file.seek(510)
                file.write(b"\x55\xaa")
        device = self.device("a", "--partscan", prepare=table)
        name = os.path.basename(device)
        if not os.path.exists(f"/sys/block/{name}/{name}p1"):
            # The kernel makes no partitions of loop devices: the table is there all the same.
            self.refused(CONFIGURATION, "holds an MBR partition table", device, "--force")
            return
        self.refused(CONFIGURATION, f"{device} has 1 partition: {name}p1. Name a partition", device,
                     "--force")

    def test_read_only__refused(self):
        device = self.device("a", "--read-only")
        self.refused(PERMISSION, f"{device} can only be read. Run: blockdev --setrw {device}",
                     device)


if __name__ == "__main__":
    unittest.main()
