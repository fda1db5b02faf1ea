#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`memkv start`: what it says when it comes up, goes down, or refuses to, and with which code."""

import json
import os
import re
import resource
import shutil
import signal
import socket
import stat
import struct
import subprocess
import tempfile
import time
import unittest

from node import MEMKV, Node, environment, free_port, run_memkv

UNIT = 4096
MIB = 1 << 20
STORE_BYTES = 64 * MIB
DEV_STORE_BYTES = 4 << 30
# A user who may do nothing, for tests that run as root.
NOBODY = 65534

USAGE, UNAVAILABLE, IO, PERMISSION, CONFIGURATION = 64, 69, 74, 77, 78


class StartTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="memkv-test-", dir=os.environ.get("TMPDIR"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def config(self, drives, extra="", name="memkv.yaml", trim="auto"):
        """A file with these drives, each a path or a (path, size)."""
        path = self.path(name)
        with open(path, "w", encoding="utf-8") as file:
            file.write("memory: {max_size: 256MiB}\nlog: {format: text}\n" + extra)
            file.write(f"storage:\n  mode: file\n  trim: {trim}\n  drives:\n")
            for drive in drives:
                media, size = drive if isinstance(drive, tuple) else (drive, None)
                file.write(f"    - media: {media}\n" + (f"      size: {size}\n" if size else ""))
        return path

    def refused(self, *arguments, port=None, **options):
        """Starts a node that must refuse; returns its exit code and its one line."""
        port = port or free_port()
        child = subprocess.run(
            [MEMKV, "start", "--listen", f"127.0.0.1:{port}", *arguments], capture_output=True,
            text=True, check=False, timeout=60, env=environment(), stdin=subprocess.DEVNULL,
            **options)
        errors = [line for line in child.stderr.split("\n") if line and not is_log_line(line)]
        self.assertEqual(len(errors), 1, child.stderr + child.stdout)
        return child.returncode, errors[0]

    def make_store(self, name, drives, keys=0):
        """A store that was served once and stopped; returns the node's lines."""
        config = self.config(drives, name=name)
        with Node("--config", config) as node:
            node.ready()
            for key in range(keys):
                self.assertEqual(node.command("put", f"key-{key}", config).returncode, 0)
            self.assertEqual(node.terminate(), 0, node.errors)
        return config

    def refuse_foreign(self, content_at, content):
        path = self.path("store.memkv")
        with open(path, "wb") as file:
            file.truncate(STORE_BYTES)
            file.seek(content_at)
            file.write(content)
        code, line = self.refused("--config", self.config([path]))
        self.assertEqual(line, f"drive d00: {path} holds data that is no memkv store, which is not "
                               "overwritten. Name another path, or remove what is there first")
        self.assertEqual(code, CONFIGURATION)
        with open(path, "rb") as file:
            file.seek(content_at)
            self.assertEqual(file.read(len(content)), content)


def is_log_line(line):
    return re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z (ERROR|WARN|INFO|DEBUG) [\w.]+: ", line) is not None


class DevTest(StartTest):
    """--dev: the first five minutes."""

    def test_dev__first_start__makes_a_store_and_says_what_it_is(self):
        folder = self.path("data")
        with Node("--dev", folder) as node:
            node.ready()
            lines = list(node.lines)
            self.assertEqual(node.http("/v1/ready"), (200, "ok"))
            self.assertEqual(node.status()["node"]["state"], "serving")
            self.assertEqual(node.terminate(), 0)
        store = os.path.join(folder, "store.memkv")
        self.assertRegex(lines[0], r"^memkv \d+\.\d+\.\d+ \([0-9a-z]+\), node \S+$")
        self.assertEqual(lines[1:4], [
            f"listening on 127.0.0.1:{node.port} for clients, on 127.0.0.1:{node.port + 1} for "
            "health, status and metrics",
            f"drive d00: {store}, 4 GiB, new",
            "holds 0 blocks, 0 B of 3.9 GiB on drives; memory 256 MiB",
        ])
        self.assertRegex(lines[4], r"^ready in \d+\.\d s$")
        self.assertEqual(len(lines), 5)
        self.assertRegex(node.lines[5], r"^SIGTERM: stopping when the requests in flight are done, "
                                        r"at most 10 s$")
        self.assertRegex(node.lines[6], r"^stopped after \d+\.\d s: 0 requests answered, 0 blocks "
                                        r"held$")
        for line in node.errors:
            self.assertTrue(is_log_line(line), line)
        status = os.stat(store)
        self.assertEqual(stat.S_IMODE(os.stat(folder).st_mode), 0o700)
        self.assertEqual(stat.S_IMODE(status.st_mode), 0o600)
        self.assertEqual(status.st_size, DEV_STORE_BYTES)
        self.assertLess(status.st_blocks * 512, 64 * MIB)

    def test_dev__no_directory_named__memkv_data_here(self):
        with Node("--dev", cwd=self.folder) as node:
            node.ready()
            self.assertEqual(node.lines[2], "drive d00: memkv-data/store.memkv, 4 GiB, new")
            self.assertEqual(node.terminate(), 0)
        self.assertEqual(os.listdir(self.folder), ["memkv-data"])

    def test_dev__shard_without_a_drive__starts_and_serves(self):
        """It has the memory of one slab of the largest blocks, and how much more is chance: tables
        of connections are as large as the limit of open files."""
        def few_files():
            resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))

        folder = self.path("data")
        with Node("--dev", folder, "--shards", "2", preexec_fn=few_files) as node:
            node.ready()
            self.assertEqual(node.command("put", "key", MEMKV).returncode, 0)
            self.assertEqual(node.terminate(), 0, node.errors)

    def test_dev__more_shards_than_memory__says_what_they_take(self):
        code, line = self.refused("--dev", self.path("data"), "--shards", "8")
        self.assertRegex(line, r"^the memory has no room for 8 shards: their tables leave \d+ MiB "
                               r"of it for blocks, and each shard needs 34 MiB of that\. Set "
                               r"fewer node\.shards or a larger memory\.max_size$")
        self.assertEqual(code, CONFIGURATION)

    def test_dev__stopped_and_started__recovers_without_replay(self):
        folder = self.path("data")
        with Node("--dev", folder) as node:
            node.ready()
            self.assertEqual(node.command("put", "key", MEMKV).returncode, 0)
            self.assertEqual(node.terminate(), 0)
        self.assertIn("1 requests answered, 1 blocks held", node.lines[-1])
        with Node("--dev", folder) as node:
            node.ready()
            self.assertRegex(node.wait_for("recovered"),
                             r"^recovered 1 blocks, 0 journal entries, in \d+\.\d\d s$")
            self.assertNotIn("new", node.lines[2])
            got = node.command("get", "key", self.path("got"))
            self.assertEqual(got.returncode, 0, got.stderr)
            self.assertEqual(node.terminate(), 0)
        self.assert_same_files(MEMKV, self.path("got"))

    def test_dev__killed_and_started__replays_and_serves(self):
        folder = self.path("data")
        with Node("--dev", folder) as node:
            node.ready()
            self.assertEqual(node.command("put", "kept", MEMKV).returncode, 0)
            self.assertEqual(node.command("put", "deleted", MEMKV).returncode, 0)
            self.assertEqual(node.command("delete", "deleted").returncode, 0)
            self.assertEqual(node.kill(), -signal.SIGKILL)
        with Node("--dev", folder) as node:
            node.ready()
            line = node.wait_for("recovered")
            found = re.match(r"^recovered 1 blocks, (\d+) journal entries, in \d+\.\d\d s$", line)
            self.assertIsNotNone(found, line)
            self.assertGreaterEqual(int(found.group(1)), 3)
            self.assertEqual(node.command("get", "kept", self.path("got")).returncode, 0)
            self.assertEqual(node.command("exists", "deleted").returncode, 1)
            self.assertEqual(node.terminate(), 0)
        self.assert_same_files(MEMKV, self.path("got"))

    def assert_same_files(self, one, other):
        with open(one, "rb") as first, open(other, "rb") as second:
            self.assertEqual(first.read(), second.read())

    def test_dev__log_format_json__every_error_line_is_an_object(self):
        with Node("--dev", self.path("data"), "--log-format", "json") as node:
            node.ready()
            self.assertEqual(node.terminate(), 0)
        self.assertGreater(len(node.errors), 0)
        for line in node.errors:
            record = json.loads(line)
            self.assertEqual(list(record), ["timestamp", "level", "target", "message", "fields"])
            self.assertRegex(record["timestamp"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")

    def test_dev__directory_cannot_be_made__says_why(self):
        below = self.path("a/b")
        code, line = self.refused("--dev", below)
        self.assertEqual(line, f"--dev: directory {below} cannot be made: the one above it does "
                               f"not exist. Run: mkdir -p {below}")
        self.assertEqual(code, CONFIGURATION)
        plain = self.path("plain")
        open(plain, "w", encoding="utf-8").close()
        code, line = self.refused("--dev", plain)
        self.assertEqual(line, f"--dev: {plain} is, or lies below, something that is no directory. "
                               "Name a directory: --dev DIR")
        self.assertEqual(code, CONFIGURATION)


class StopTest(StartTest):
    """Signals."""

    def test_sigint__stops_as_sigterm_does(self):
        with Node("--dev", self.path("data")) as node:
            node.ready().signal(signal.SIGINT)
            self.assertEqual(node.wait(), 0)
        self.assertIn("SIGINT: stopping", node.lines[-2])

    def test_sighup__goes_on_and_says_so(self):
        with Node("--dev", self.path("data")) as node:
            node.ready().signal(signal.SIGHUP)
            node.wait_for("SIGHUP: keys, users and tenants.rules are read again")
            self.assertEqual(node.http("/v1/ready"), (200, "ok"))
            self.assertEqual(node.terminate(), 0)

    def test_sigterm__idle_connections__do_not_delay_it(self):
        with Node("--dev", self.path("data")) as node:
            node.ready()
            with socket.create_connection(("127.0.0.1", node.port)):
                start = time.monotonic()
                self.assertEqual(node.terminate(), 0)
                self.assertLess(time.monotonic() - start, 8)

    def test_sigterm_twice__a_client_that_hangs__is_waited_for_only_once(self):
        value = self.path("value")
        with open(value, "wb") as file:
            file.truncate(256 * MIB)
        with Node("--dev", self.path("data")) as node:
            node.ready()
            client = subprocess.Popen([MEMKV, "put", "--server", node.address, "key", value],
                                      env=environment(), stderr=subprocess.DEVNULL)
            try:
                self.wait_until(lambda: node.status()["storage"]["used_bytes_total"] > 0)
                client.send_signal(signal.SIGSTOP)
                node.signal(signal.SIGTERM)
                node.wait_for("SIGTERM: stopping")
                code, body = node.http("/v1/ready")
                self.assertEqual((code, json.loads(body)["reason"]), (503, "draining"))
                start = time.monotonic()
                node.signal(signal.SIGTERM)
                self.assertEqual(node.wait(), 0)
                self.assertLess(time.monotonic() - start, 8)
            finally:
                client.kill()
                client.wait()
        self.assertIn("SIGTERM again: closing the drives now", node.lines)
        with Node("--dev", self.path("data")) as node:
            node.ready()
            self.assertIn(", 0 journal entries,", node.wait_for("recovered"))
            self.assertEqual(node.command("exists", "key").returncode, 1)
            self.assertEqual(node.terminate(), 0)

    def wait_until(self, condition, seconds=30):
        end = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)


class CommandLineTest(StartTest):
    """What is wrong before anything is opened."""

    def test_option_unknown__guess(self):
        child = run_memkv("start", "--lissten", "127.0.0.1:1")
        self.assertEqual(child.stderr,
                         "memkv start: unknown option '--lissten', did you mean '--listen'?\n")
        self.assertEqual(child.returncode, USAGE)

    def test_key_unknown__file_and_line(self):
        path = self.path("memkv.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write("storage:\n  drvies: []\n")
        code, line = self.refused("--config", path)
        self.assertEqual(line, f"{path}:2: unknown key 'storage.drvies', did you mean 'drives'?")
        self.assertEqual(code, CONFIGURATION)

    def test_listen_on_a_name__refused(self):
        child = run_memkv("start", "--dev", self.path("data"), "--listen", "gpu-07:9900")
        self.assertEqual(
            child.stderr, "--listen: network.address gpu-07:9900 is a name; use an address, "
                          "0.0.0.0:9900 for all of this machine\n")
        self.assertEqual(child.returncode, CONFIGURATION)
        self.assertFalse(os.path.exists(self.path("data")))

    def test_listeners_collide__refused_by_name(self):
        port = free_port()
        config = self.config([self.path("store.memkv")],
                             extra=f"network: {{admin_address: '127.0.0.1:{port}'}}\n")
        code, line = self.refused("--config", config, port=port)
        self.assertEqual(line, f"--listen: network.address 127.0.0.1:{port} is also "
                               f"network.admin_address ({config}:3); give each listener a port of "
                               "its own")
        self.assertEqual(code, CONFIGURATION)

    def test_program__version_help_and_unknown_commands(self):
        self.assertRegex(run_memkv("--version").stdout, r"^memkv \d+\.\d+\.\d+ \([0-9a-z]+\)\n$")
        self.assertIn("\n  put KEY FILE ", run_memkv("help").stdout)
        for command in ("start", "put", "get", "exists", "delete", "admin"):
            with self.subTest(command=command):
                by_name = run_memkv("help", command)
                by_option = run_memkv(command, "--help")
                self.assertEqual((by_name.returncode, by_option.returncode), (0, 0))
                self.assertTrue(by_name.stdout.startswith(f"usage: memkv {command}"))
                self.assertEqual(by_name.stdout, by_option.stdout)
        for arguments, code, text in (
                ((), 2, "usage: memkv COMMAND"),
                (("gett",), 2, "memkv: unknown command 'gett', did you mean 'get'?\n"),
                (("serve",), 2, "memkv: unknown command 'serve'; memkv help lists the commands\n"),
                (("strat",), USAGE, "memkv: unknown command 'strat', did you mean 'start'?\n")):
            with self.subTest(arguments=arguments):
                child = run_memkv(*arguments)
                self.assertEqual(child.returncode, code)
                self.assertTrue(child.stderr.startswith(text), child.stderr)


class ListenerTest(StartTest):
    """Ports that others have."""

    def test_port_in_use__names_who_has_it(self):
        port = free_port()
        with socket.create_server(("127.0.0.1", port)):
            code, line = self.refused("--dev", self.path("data"), port=port)
        self.assertRegex(line, rf"^127\.0\.0\.1:{port} is in use by \S+ \(pid {os.getpid()}\)\. "
                               r"Stop it or choose another --listen$")
        self.assertEqual(code, UNAVAILABLE)

    def test_admin_port_in_use__names_the_listener(self):
        port = free_port()
        with socket.create_server(("127.0.0.1", port + 1)):
            code, line = self.refused("--dev", self.path("data"), port=port)
        self.assertRegex(line, rf"^127\.0\.0\.1:{port + 1} is in use by \S+ "
                               rf"\(pid {os.getpid()}\)\. Stop it or choose another --listen "
                               r"\(the admin listener is at its port \+ 1\)$")
        self.assertEqual(code, UNAVAILABLE)

    def test_port_in_use__log_format_json__the_refusal_is_an_object(self):
        port = free_port()
        with socket.create_server(("127.0.0.1", port)):
            child = run_memkv("start", "--dev", self.path("data"), "--log-format", "json",
                              "--listen", f"127.0.0.1:{port}")
        record = json.loads(child.stderr.rstrip("\n").split("\n")[-1])
        self.assertEqual(record["level"], "ERROR")
        self.assertEqual(record["target"], "server.node")
        self.assertIn(f"127.0.0.1:{port} is in use by", record["message"])
        self.assertEqual(record["fields"], {"exit_code": UNAVAILABLE})
        self.assertEqual(child.returncode, UNAVAILABLE)


class MediaTest(StartTest):
    """Single drives that cannot be a store, or not this one."""

    def test_store_in_use__names_who_has_it(self):
        folder = self.path("data")
        with Node("--dev", folder) as node:
            node.ready()
            code, line = self.refused("--dev", folder)
            self.assertEqual(
                line, f"drive d00: store file {folder}/store.memkv is in use by another process "
                      f"(pid {node.pid}). Stop that process, or give this node a file of its own")
            self.assertEqual(code, UNAVAILABLE)
            self.assertEqual(node.terminate(), 0)

    def test_other_data__refused_and_untouched(self):
        for at, content in ((0, b"\x7fELF"), (UNIT * 8 + 17, b"x"), (STORE_BYTES - 1, b"z")):
            with self.subTest(at=at):
                self.refuse_foreign(at, content)

    def test_zeroes__formatted(self):
        path = self.path("store.memkv")
        with open(path, "wb") as file:
            file.truncate(STORE_BYTES)
        with Node("--config", self.config([path])) as node:
            node.wait_for("formatted a new drive")
            node.ready()
            self.assertEqual(node.terminate(), 0)

    def test_empty_file__formatted_at_the_size_of_the_configuration(self):
        path = self.path("store.memkv")
        open(path, "wb").close()
        with Node("--config", self.config([(path, "64MiB")])) as node:
            node.ready()
            self.assertEqual(node.terminate(), 0)
        self.assertEqual(os.path.getsize(path), STORE_BYTES)

    def test_file_missing__size_makes_it(self):
        path = self.path("store.memkv")
        code, line = self.refused("--config", self.config([path]))
        self.assertEqual(line, f"drive d00: store file {path} does not exist. Give the drive a "
                               "size to have it created, or correct its media in storage.drives")
        self.assertEqual(code, CONFIGURATION)
        with Node("--config", self.config([(path, "64MiB")])) as node:
            node.ready()
            self.assertEqual(node.terminate(), 0)

    def test_directory__refused(self):
        code, line = self.refused("--config", self.config([self.folder]))
        self.assertEqual(line, f"drive d00: {self.folder} is a directory. Name a block device or "
                               "the path of a store file in storage.drives")
        self.assertEqual(code, CONFIGURATION)

    def test_shrunk__both_sizes(self):
        path = self.path("store.memkv")
        config = self.make_store("memkv.yaml", [(path, "64MiB")])
        os.truncate(path, STORE_BYTES - 4 * MIB)
        code, line = self.refused("--config", config)
        self.assertEqual(line, f"drive d00: {path} has shrunk: it has 60MiB, the store on it has "
                               "64MiB. Bring back the missing part, or name an empty path to start "
                               "anew")
        self.assertEqual(code, IO)

    def test_grown__goes_on_at_its_old_size(self):
        path = self.path("store.memkv")
        config = self.make_store("memkv.yaml", [(path, "64MiB")], keys=1)
        os.truncate(path, 2 * STORE_BYTES)
        with Node("--config", config) as node:
            node.ready()
            self.assertEqual(node.command("get", "key-0", "-").returncode, 0)
            self.assertEqual(node.status()["storage"]["raw_bytes_total"], STORE_BYTES)
            self.assertEqual(node.terminate(), 0)

    def test_superblocks_damaged__refused(self):
        path = self.path("store.memkv")
        config = self.make_store("memkv.yaml", [(path, "64MiB")])
        units = STORE_BYTES // UNIT
        with open(path, "r+b") as file:
            for unit in (0, 8, units - 9):
                file.seek(unit * UNIT + 100)
                file.write(b"damage")
        code, line = self.refused("--config", config)
        self.assertEqual(line, f"drive d00: the store on {path} is damaged: no two of its four "
                               f"superblocks agree. Run: memkv drive repair --to FILE {path}; or, "
                               "to start anew without its blocks: memkv drive wipe --yes "
                               f"{path}")
        self.assertEqual(code, IO)

    def test_format_cut_behind_one_superblock__formatted_again(self):
        path = self.path("store.memkv")
        config = self.make_store("memkv.yaml", [(path, "64MiB")])
        with open(path, "rb") as file:
            copy = bytearray(file.read(UNIT))
        # As the format wrote it: no opening has raised these, and none has written more.
        for at, bytes_, value in ((28, 4, 2), (64, 8, 1), (72, 4, 0), (76, 4, 0), (80, 8, 1),
                                  (96, 8, 0), (112, 8, 0), (120, 4, 0)):
            copy[at:at + bytes_] = value.to_bytes(bytes_, "little")
        os.truncate(path, 0)
        os.truncate(path, STORE_BYTES)
        with open(path, "r+b") as file:
            file.write(copy)
        with Node("--config", config) as node:
            node.ready()
            self.assertEqual(node.command("put", "key", "-", input="bytes").returncode, 0)
            self.assertEqual(node.terminate(), 0)

    def test_superblock_copies_lost__repaired(self):
        path = self.path("store.memkv")
        config = self.make_store("memkv.yaml", [(path, "64MiB")], keys=1)
        with open(path, "r+b") as file:
            for unit in (0, STORE_BYTES // UNIT - 1):
                file.seek(unit * UNIT)
                file.write(bytes(UNIT))
        with Node("--config", config) as node:
            node.ready()
            node.wait_for("copies of the superblock differed and were rewritten drive=d00 copies=2")
            self.assertEqual(node.command("exists", "key-0").returncode, 0)
            self.assertEqual(node.terminate(), 0)

    def test_journal_hole__comes_up_empty_and_warns(self):
        path = self.path("store.memkv")
        config = self.config([(path, "64MiB")])
        with Node("--config", config) as node:
            node.ready()
            for key in range(4):
                self.assertEqual(node.command("put", f"key-{key}", config).returncode, 0)
            node.kill()
        # Both copies of the first block behind the superblock's, while later ones are there.
        with open(path, "r+b") as file:
            file.seek(136)
            ring_blocks, = struct.unpack("<I", file.read(4))
            for copy in (0, 1):
                for block in (0, 1, 2):
                    file.seek((16 + copy * ring_blocks + block) * UNIT)
                    file.write(bytes(UNIT))
        with Node("--config", config) as node:
            node.ready()
            line = node.wait_for("came up empty: what stood on it cannot be trusted")
            self.assertIn("ERROR core.volume: ", line)
            self.assertIn("its journal is damaged", line)
            self.assertEqual(node.command("exists", "key-0").returncode, 1)
            warnings = node.status()["warnings"]
            self.assertIn(("CAME_UP_EMPTY", "d00"),
                          [(warning["code"], warning["device_id"]) for warning in warnings])
            self.assertEqual(node.command("put", "key", config).returncode, 0)
            self.assertEqual(node.terminate(), 0)

    def test_permission__names_the_user(self):
        options = {}
        path = self.path("store.memkv")
        config = self.make_store("memkv.yaml", [(path, "64MiB")])
        if os.geteuid() == 0:
            options["user"] = NOBODY
            os.chmod(self.folder, 0o755)
            if not self.may_execute(MEMKV, NOBODY):
                self.skipTest(f"user {NOBODY} may not execute {MEMKV}")
        else:
            os.chmod(path, 0o000)
        code, line = self.refused("--config", config, **options)
        self.assertIn("drive d00: ", line)
        self.assertIn(path, line)
        self.assertEqual(code, PERMISSION)

    def may_execute(self, path, user):
        try:
            return subprocess.run([path, "--version"], user=user, stdout=subprocess.DEVNULL,
                                  check=False).returncode == 0
        except OSError:
            return False

    def test_huge_pages_required__says_how_to_get_them(self):
        with open("/proc/meminfo", encoding="utf-8") as file:
            free = int(re.search(r"^HugePages_Free:\s+(\d+)$", file.read(), re.M).group(1))
        if free >= 128:
            self.skipTest(f"{free} huge pages are free")
        config = self.config([(self.path("store.memkv"), "64MiB")])
        with open(config, encoding="utf-8") as file:
            text = file.read().replace("256MiB", "256MiB, hugepages: require")
        with open(config, "w", encoding="utf-8") as file:
            file.write(text)
        code, line = self.refused("--config", config)
        self.assertEqual(line, f"memory.max_size 256MiB needs 128 huge pages of 2 MiB, {free} are "
                               "free. Run: sysctl -w vm.nr_hugepages=128, or set "
                               "memory.hugepages: auto")
        self.assertEqual(code, UNAVAILABLE)

    def test_trim__on_takes_files_and_auto_leaves_them_out(self):
        for trim, has_thread in (("on", True), ("auto", False), ("off", False)):
            with self.subTest(trim=trim):
                config = self.config([(self.path("store.memkv"), "64MiB")], trim=trim)
                with Node("--config", config) as node:
                    node.ready()
                    self.assertEqual("memkv-trim" in node.thread_names(), has_thread)
                    self.assertEqual(node.terminate(), 0)

    def test_trim_on__file_system_without_holes__refused(self):
        folder = self.path("ramfs")
        os.mkdir(folder)
        mounted = subprocess.run(["mount", "-t", "ramfs", "memkv", folder], check=False,
                                 stderr=subprocess.PIPE, text=True)
        if mounted.returncode != 0:
            self.skipTest(f"no ramfs can be mounted: {mounted.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", folder], check=True)
        store = os.path.join(folder, "store.memkv")
        code, line = self.refused("--config", self.config([(store, "64MiB")], trim="on"))
        self.assertEqual(line, f"drive d00: {store} cannot be trimmed, which storage.trim on "
                               "needs: its file system does not punch holes. Set storage.trim: "
                               "auto")
        self.assertEqual(code, CONFIGURATION)
        self.assertEqual(os.listdir(folder), [])


class FailingDriveTest(StartTest):
    """Drives that cannot be written where they end: the process may write no larger files."""

    LIMIT = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (96 * MIB, 96 * MIB)),
             "restore_signals": False}

    def test_one_of_two_does_not_open__serves_degraded(self):
        small, large = self.path("small.memkv"), self.path("large.memkv")
        # So many that one drive has none of them once in ten million runs.
        config = self.make_store("memkv.yaml", [(small, "64MiB"), (large, "128MiB")], keys=40)
        with Node("--config", config, **self.LIMIT) as node:
            node.ready()
            line = node.wait_for("drive cannot be opened, its keys are misses")
            self.assertIn("ERROR core.volume: ", line)
            self.assertIn("drive=d01", line)
            code, body = node.http("/v1/health")
            self.assertEqual(code, 200)
            self.assertEqual(json.loads(body)["status"], "degraded")
            self.assertEqual(node.http("/v1/ready"), (200, "ok"))
            status = node.status()
            self.assertEqual([device["state"] for device in status["storage"]["devices"]],
                             ["online", "offline"])
            self.assertIn(("DRIVE_OFFLINE", "d01"),
                          [(warning["code"], warning["device_id"])
                           for warning in status["warnings"]])
            found = [node.command("exists", f"key-{key}").returncode for key in range(40)]
            self.assertEqual(set(found), {0, 1})
            self.assertEqual(node.terminate(), 0)
        with Node("--config", config) as node:
            node.ready()
            for key in range(40):
                self.assertEqual(node.command("exists", f"key-{key}").returncode, 0)
            self.assertEqual(node.terminate(), 0)

    def test_no_drive_opens__refused_with_the_reason_for_each(self):
        paths = [self.path("a.memkv"), self.path("b.memkv")]
        config = self.make_store("memkv.yaml", [(path, "128MiB") for path in paths])
        child = subprocess.run([MEMKV, "start", "--config", config, "--listen",
                                f"127.0.0.1:{free_port()}"], capture_output=True, text=True,
                               check=False, timeout=60, env=environment(), **self.LIMIT)
        lines = [line for line in child.stderr.split("\n") if line and not is_log_line(line)]
        self.assertEqual(lines, [
            f"drive d0{index}: the store on {path} cannot be opened: the drive failed an "
            "operation. See dmesg and the drive's health, or name another path to start anew"
            for index, path in enumerate(paths)])
        self.assertEqual(child.returncode, IO)

    def test_new_drive_cannot_be_made__refused_and_not_left(self):
        path = self.path("large.memkv")
        code, line = self.refused("--config", self.config([(path, "128MiB")]), **self.LIMIT)
        self.assertEqual(line, f"drive d00: {path} would be larger than its file system or the "
                               "limit of this process (ulimit -f) allows. Give the drive a smaller "
                               "size")
        self.assertEqual(code, CONFIGURATION)


class DriveSetTest(StartTest):
    """Several drives: one store, or not."""

    def two(self, name="memkv.yaml", first="a.memkv", second="b.memkv"):
        return self.make_store(name, [(self.path(first), "64MiB"), (self.path(second), "64MiB")],
                               keys=16)

    def uuids(self, config):
        with Node("--config", config) as node:
            node.ready()
            devices = node.status()["storage"]["devices"]
            self.assertEqual(node.terminate(), 0)
        return {device["path"]: device["uuid"] for device in devices}

    def test_two_drives__listed_in_another_order__same_blocks(self):
        self.two()
        config = self.config([self.path("b.memkv"), self.path("a.memkv")])
        with Node("--config", config) as node:
            node.ready()
            for key in range(16):
                self.assertEqual(node.command("exists", f"key-{key}").returncode, 0)
            devices = node.status()["storage"]["devices"]
            self.assertEqual([device["path"] for device in devices],
                             [self.path("b.memkv"), self.path("a.memkv")])
            for device in devices:
                self.assertGreater(device["blocks"], 0)
            self.assertEqual(node.terminate(), 0)

    def test_member_missing__names_its_uuid(self):
        uuids = self.uuids(self.two())
        uuid = uuids[self.path("b.memkv")]
        with Node("--config", self.config([self.path("a.memkv")])) as node:
            line = node.wait_for("not ready")
            self.assertIn(f"1 of the store's 2 drives is missing: {uuid}. Bring them back; or, if "
                          "they are lost and with them their blocks, run: memkv start --lost "
                          f"{uuid}", line)
            self.assertEqual(node.terminate(), 0)

    def test_member_removed__not_replaced_by_an_empty_file(self):
        config = self.two()
        uuids = self.uuids(config)
        lost = self.path("b.memkv")
        os.unlink(lost)
        with Node("--config", config) as node:
            line = node.wait_for("not ready")
            self.assertIn(f"1 of the store's 2 drives is missing: {uuids[lost]}. Drive d01 "
                          f"({lost}) is empty.", line)
            self.assertFalse(os.path.exists(lost))
            self.assertEqual(node.terminate(), 0)
        self.assertFalse(os.path.exists(lost))

    def test_drive_of_another_store__refused(self):
        self.make_store("one.yaml", [(self.path("a.memkv"), "64MiB")])
        self.make_store("two.yaml", [(self.path("b.memkv"), "64MiB")])
        config = self.config([self.path("a.memkv"), self.path("b.memkv")])
        code, line = self.refused("--config", config)
        uuid = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
        self.assertRegex(line, f"^drive d01: {self.path('b.memkv')} belongs to store {uuid}, but "
                               rf"drive d00 \({self.path('a.memkv')}\) to store {uuid}\. Give each "
                               r"store a node of its own$")
        self.assertEqual(code, CONFIGURATION)

    def test_copy_of_a_drive__refused(self):
        self.make_store("memkv.yaml", [(self.path("a.memkv"), "64MiB")])
        shutil.copyfile(self.path("a.memkv"), self.path("copy.memkv"))
        code, line = self.refused(
            "--config", self.config([self.path("a.memkv"), self.path("copy.memkv")]))
        self.assertRegex(line, rf"^drive d01: {self.path('copy.memkv')} is a copy of drive d00 "
                               rf"\({self.path('a.memkv')}\): both are drive [0-9a-f-]{{36}}\. "
                               r"Name one of them alone$")
        self.assertEqual(code, CONFIGURATION)

    def test_one_file_by_two_names__refused(self):
        self.make_store("memkv.yaml", [(self.path("a.memkv"), "64MiB")])
        os.symlink(self.path("a.memkv"), self.path("link.memkv"))
        code, line = self.refused(
            "--config", self.config([self.path("a.memkv"), self.path("link.memkv")]))
        self.assertEqual(line, f"drive d01: {self.path('link.memkv')} is the same as drive d00 "
                               f"({self.path('a.memkv')}). List each drive once in storage.drives")
        self.assertEqual(code, CONFIGURATION)

    def test_first_start_cut_short__goes_on_where_it_was(self):
        port = free_port()
        config = self.config([(self.path("a.memkv"), "64MiB"), (self.path("b.memkv"), "64MiB")])
        # Both drives are formatted before the listener is refused, and neither is opened.
        with socket.create_server(("127.0.0.1", port)):
            self.assertEqual(self.refused("--config", config, port=port)[0], UNAVAILABLE)
        # As if the process had been killed before the second one.
        os.unlink(self.path("b.memkv"))
        with Node("--config", config) as node:
            node.ready()
            node.wait_for("formatted a new drive drive=d01")
            self.assertEqual(node.status()["node"]["state"], "serving")
            self.assertEqual(node.terminate(), 0)
        with Node("--config", config) as node:
            node.ready()
            self.assertEqual(node.terminate(), 0)


if __name__ == "__main__":
    unittest.main()
