#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Keys of clients through the real daemon: who is served, rights, rotation, failures, limits."""

import os
import signal
import socket
import stat
import subprocess
import tempfile
import time
import unittest

import libmemkv as lib
from node import MEMKV, Node, environment, free_port, run_memkv

WAIT_S_MAX = 60


def wait_until(condition, what):
    end = time.monotonic() + WAIT_S_MAX
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not in {WAIT_S_MAX} s: {what}")
        time.sleep(0.05)


def own_address():
    """An address of this machine that is not loopback, or None."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
            address = probe.getsockname()[0]
        except OSError:
            return None
    return None if address.startswith("127.") else address


class AuthTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="memkv-auth-")
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def path(self, name):
        return os.path.join(self.directory, name)

    def keygen(self, name):
        child = run_memkv("auth", "keygen", "--output", self.path(name))
        self.assertEqual((child.returncode, child.stdout, child.stderr), (0, "", ""))
        with open(self.path(name), encoding="ascii") as file:
            return file.read().strip()

    def config(self, text):
        path = self.path("memkv.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write("storage: {mode: file, drives: [{media: store, size: 64MiB}]}\n"
                       "memory: {max_size: 256MiB}\nlog: {format: text}\n"
                       "audit: {file: audit.log}\n" + text)
        return path

    def node(self, text, *arguments):
        return Node("--config", self.config(text), *arguments)

    def command(self, node, *arguments, key=None, key_id=None, address=None):
        variables = {}
        if key:
            variables["MEMKV_AUTH_KEY"] = key
        if key_id:
            variables["MEMKV_AUTH_KEY_ID"] = key_id
        return run_memkv(arguments[0], "--server", address or node.address, *arguments[1:],
                         env=environment(**variables))

    def metric(self, node, name):
        for line in node.http("/v1/metrics")[1].splitlines():
            if line.startswith(name + " "):
                return float(line.split(" ")[1])
        return None


class KeysTest(AuthTest):
    def test_keygen__a_new_file_of_its_owner__never_overwrites(self):
        first = self.keygen("a")
        self.assertRegex(first, "^[0-9a-f]{64}$")
        self.assertEqual(stat.S_IMODE(os.stat(self.path("a")).st_mode), 0o600)
        child = run_memkv("auth", "keygen", "--output", self.path("a"))
        self.assertEqual(child.returncode, 74)
        self.assertIn("is there already", child.stderr)
        with open(self.path("a"), encoding="ascii") as file:
            self.assertEqual(file.read().strip(), first)
        printed = run_memkv("auth", "keygen")
        self.assertRegex(printed.stdout, "^[0-9a-f]{64}\n$")
        self.assertNotEqual(printed.stdout.strip(), first)

    def test_config_check__reads_the_secrets(self):
        self.keygen("a")
        path = self.config("network: {auth_key: a}\n")
        self.assertIn("1 key and 1 user of RESP", run_memkv("config", "check", path).stdout)
        os.chmod(self.path("a"), 0o644)
        child = run_memkv("config", "check", path)
        self.assertEqual(child.returncode, 78)
        self.assertIn("may be read or written by others", child.stderr)

    def test_a_key__is_asked_for_and_proven(self):
        key = self.keygen("a")
        other = self.keygen("b")
        with self.node("network: {auth_key: a}\n") as node:
            node.ready()
            child = self.command(node, "exists", "k")
            self.assertEqual(child.returncode, 1)
            self.assertIn("set MEMKV_AUTH_KEY", child.stderr)
            child = self.command(node, "exists", "k", key=other)
            self.assertIn("does not prove that it has the key", child.stderr)
            child = self.command(node, "exists", "k", key=key, key_id="nobody")
            self.assertIn("authentication failed", child.stderr)
            child = self.command(node, "exists", "k", key=key[:-1])
            self.assertEqual(child.returncode, 2)
            self.assertNotIn(key[:-1], child.stderr)
            self.assertEqual(self.command(node, "exists", "k", key=key).returncode, 1)
            client = lib.Client(node.address, key=key)
            self.assertEqual(client.put(b"k", b"value"), lib.OK)
            self.assertEqual(client.get(b"k"), b"value")
            wait_until(lambda: self.metric(node, 'memkv_auth_sessions{key_id="default"}') == 1,
                       "a session of the key")
            self.assertEqual(
                self.metric(node, 'memkv_auth_failures_total{listener="native"}'), 1)
            client.close()
            node.wait_for("a client did not show who it is")
            shown = node.http("/v1/config")[1] + "\n".join(node.lines + node.errors)
            self.assertNotIn(key, shown)
            node.terminate()
        with open(self.path("audit.log"), encoding="utf-8") as file:
            text = file.read()
        self.assertIn('"auth_refused"', text)
        self.assertIn("its key id is unknown", text)

    def test_a_server_without_the_key__is_refused_by_the_client(self):
        with self.node("") as node:
            node.ready()
            child = self.command(node, "exists", "k", key=self.keygen("a"))
            self.assertIn("cannot prove that it has yours", child.stderr)

    def test_failures__hold_nobody_else_up(self):
        key = self.keygen("a")
        with self.node("network: {auth_key: a}\n") as node:
            node.ready()
            client = lib.Client(node.address, key=key)
            wrong = [subprocess.Popen(
                [MEMKV, "exists", "--server", node.address, "k"],
                env=environment(MEMKV_AUTH_KEY=key, MEMKV_AUTH_KEY_ID="x"),
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(3)]
            # The delays of three failures together are 1.75 s.
            while any(child.poll() is None for child in wrong):
                self.assertEqual(client.put(b"k", b"v"), lib.OK)
            self.assertEqual(
                self.metric(node, 'memkv_auth_failures_total{listener="native"}'), 3)
            client.close()


class RightsTest(AuthTest):
    def test_a_key__has_its_tenants_and_rights(self):
        key = self.keygen("a")
        with self.node("auth: {keys: [{id: batch-1, file: a, tenants: [batch, team-7], "
                       "rights: [get, put]}]}\n") as node:
            node.ready()
            client = lib.Client(node.address, key=key, key_id="batch-1")
            self.assertEqual(client.put(b"k", b"of batch"), lib.OK)  # inline
            self.assertEqual(client.put(b"large", b"x" * 300_000), lib.OK)
            self.assertEqual(client.get(b"k"), b"of batch")
            self.assertEqual(client.delete(b"k"), [lib.FORBIDDEN])
            self.assertEqual(client.get(b"k"), b"of batch")
            client.close()
            named = lib.Client(node.address, tenant="team-7", key=key, key_id="batch-1")
            self.assertEqual(named.get(b"k"), "unknown")
            named.close()
            batch = lib.Client(node.address, tenant="batch", key=key, key_id="batch-1")
            self.assertEqual(batch.get(b"k"), b"of batch")
            batch.close()
            child = self.command(node, "exists", "--tenant", "other", "k", key=key,
                                 key_id="batch-1")
            self.assertIn("the key has no right to this tenant", child.stderr)

    def test_a_key_that_may_only_read__puts_are_forbidden_and_the_connection_stays(self):
        key = self.keygen("a")
        with self.node("auth: {keys: [{id: r, file: a, rights: get}]}\n") as node:
            node.ready()
            client = lib.Client(node.address, key=key, key_id="r")
            for _ in range(3):
                self.assertEqual(client.put(b"small", b"inline"), lib.FORBIDDEN)
                self.assertEqual(client.put(b"large", b"x" * 300_000), lib.FORBIDDEN)
                self.assertEqual(client.get(b"small"), "unknown")
            wait_until(lambda: self.metric(node, 'memkv_auth_sessions{key_id="r"}') == 1,
                       "it was one connection all the time")
            client.close()

    def test_rotation__two_keys_live__no_session_is_dropped(self):
        old, new = self.keygen("old"), self.keygen("new")
        first = "auth: {keys: [{id: old, file: old}]}\n"
        both = "auth: {keys: [{id: old, file: old}, {id: new, file: new}]}\n"
        last = "auth: {keys: [{id: new, file: new}]}\n"
        with self.node(first) as node:
            node.ready()
            client = lib.Client(node.address, key=old, key_id="old")
            for step, text in enumerate((both, "auth: {keys: [{id: old, file: none}]}\n", last)):
                self.config(text)
                node.signal(signal.SIGHUP)
                if step == 1:
                    node.wait_for("the keys are those of before")
                    self.assertEqual(
                        self.metric(node, "memkv_config_last_reload_successful"), 0)
                else:
                    wait_until(lambda count=step // 2 + 1: sum(
                        "are read again" in line for line in node.errors) == count, "a reload")
                self.assertEqual(client.put(b"k", b"v"), lib.OK)
                self.assertEqual(self.command(node, "exists", "k", key=new, key_id="new")
                                 .returncode, 0)
            self.assertEqual(self.metric(node, "memkv_config_last_reload_successful"), 1)
            child = self.command(node, "exists", "k", key=old, key_id="old")
            self.assertIn("authentication failed", child.stderr)
            self.assertEqual(self.metric(node, 'memkv_auth_sessions{key_id="old"}'), 1)
            client.close()
            wait_until(lambda: self.metric(node, 'memkv_auth_sessions{key_id="old"}') is None,
                       "the old key's last session")
            self.assertEqual(self.metric(node, 'memkv_auth_sessions{key_id="new"}'), 0)


class ProtectedTest(AuthTest):
    def listen_everywhere(self, text):
        node = Node("--config", self.config(text), listen="0.0.0.0")
        self.addCleanup(node.__exit__)
        return node.ready()

    def test_public_without_a_key__serves_this_machine_alone(self):
        address = own_address()
        if address is None:
            self.skipTest("this machine has no address but loopback")
        node = self.listen_everywhere("")
        node.wait_for("protected mode")
        self.assertEqual(self.command(node, "exists", "k").returncode, 1)
        child = self.command(node, "exists", "k", address=f"{address}:{node.port}")
        self.assertIn("protected mode", child.stderr)
        self.assertIn("network.auth_key", child.stderr)
        # A key opens it, without a restart.
        key = self.keygen("a")
        self.config("network: {auth_key: a}\n")
        node.signal(signal.SIGHUP)
        node.wait_for("are read again")
        child = self.command(node, "exists", "k", key=key, address=f"{address}:{node.port}")
        self.assertEqual((child.returncode, child.stderr), (1, ""))

    def test_auth_none__serves_everybody_under_a_warning(self):
        address = own_address()
        if address is None:
            self.skipTest("this machine has no address but loopback")
        node = self.listen_everywhere("network: {auth: none}\n")
        child = self.command(node, "exists", "k", address=f"{address}:{node.port}")
        self.assertEqual((child.returncode, child.stderr), (1, ""))
        self.assertEqual(self.metric(node, 'memkv_warning{code="AUTH_DISABLED"}'), 1)


class RespTest(AuthTest):
    """AUTH over RESP: to the byte what stock clients read."""

    def connect(self, port):
        connection = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S_MAX)
        self.addCleanup(connection.close)
        return connection, connection.makefile("rb")

    def say(self, pair, *words):
        connection, lines = pair
        connection.sendall(b"*%d\r\n" % len(words) + b"".join(
            b"$%d\r\n%s\r\n" % (len(word), word) for word in map(str.encode, words)))
        return lines.readline()

    def test_users__passwords_tenants_and_rights(self):
        key = self.keygen("a")
        self.keygen("b")
        with open(self.path("pass"), "w", encoding="ascii",
                  opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write("a long password\n")
        port = free_port()
        with self.node(f"network: {{auth_key: a, resp_address: '127.0.0.1:{port}'}}\n"
                       "auth:\n  keys: [{id: r, file: b, tenants: [batch], rights: [get]}]\n"
                       "  users: [{name: reader, password_file: pass, key_id: r}]\n"
                       "tenants: {rules: [{key_prefix: 'batch@', tenant: batch}]}\n") as node:
            node.ready()
            pair = self.connect(port)
            self.assertTrue(self.say(pair, "GET", "k").startswith(b"-NOAUTH "))
            # Who has not said who he is sends little.
            for command, text in ((b"*11\r\n", b"multibulk"),
                                  (b"*2\r\n$4\r\nAUTH\r\n$16385\r\n", b"bulk")):
                stranger, lines = self.connect(port)
                stranger.sendall(command)
                self.assertEqual(lines.readline(), b"-ERR Protocol error: unauthenticated " + text +
                                 b" length\r\n")
                stranger.close()
            self.assertTrue(self.say(pair, "AUTH", "wrong").startswith(b"-WRONGPASS "))
            self.assertEqual(self.say(pair, "AUTH", key), b"+OK\r\n")
            self.assertEqual(self.say(pair, "SET", "batch@1", "of batch"), b"+OK\r\n")
            self.assertEqual(self.say(pair, "SET", "k", "of default"), b"+OK\r\n")
            self.assertEqual(self.say(pair, "SET", "long", "x" * 20000), b"+OK\r\n")
            self.assertEqual(self.say(pair, "DEL", *["none"] * 20), b":0\r\n")
            self.assertEqual(self.say(pair, "RESET"), b"+RESET\r\n")
            self.assertTrue(self.say(pair, "SET", "long", "x" * 20000).startswith(
                b"-ERR Protocol error: unauthenticated bulk length"))
            reader = self.connect(port)
            self.assertEqual(self.say(reader, "AUTH", "reader", "a long password"), b"+OK\r\n")
            # The rule had put it into the tenant of the reader's key, which alone it may name.
            self.assertEqual(self.say(reader, "STRLEN", "batch@1"), b":8\r\n")
            self.assertEqual(self.say(reader, "STRLEN", "k"), b":0\r\n")
            self.assertTrue(self.say(reader, "SET", "k", "v").startswith(b"-NOPERM "))
            wait_until(lambda: self.metric(node, 'memkv_auth_sessions{key_id="r"}') == 1,
                       "the reader's session")
            self.assertEqual(self.metric(node, 'memkv_auth_failures_total{listener="resp"}'), 1)


class LimitsTest(AuthTest):
    def test_connections_over_resp__refused_ones_are_in_info(self):
        port = free_port()
        with self.node(f"network: {{client_connections_max: 2, "
                       f"resp_address: '127.0.0.1:{port}'}}\n") as node:
            node.ready()
            connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(2)]
            with socket.create_connection(("127.0.0.1", port)) as third:
                self.assertEqual(third.makefile("rb").readline(),
                                 b"-ERR max number of clients reached\r\n")

            def rejected():
                connections[0].sendall(b"INFO stats\r\n")
                lines = connections[0].makefile("rb")
                text = lines.read(int(lines.readline()[1:]) + 2)
                return b"rejected_connections:1\r\n" in text

            wait_until(rejected, "the refusal is in INFO")
            for connection in connections:
                connection.close()

    def test_connections_of_a_client__more_are_told_so(self):
        with self.node("network: {client_connections_max: 2}\n") as node:
            node.ready()
            clients = [lib.Client(node.address) for _ in range(2)]
            child = self.command(node, "exists", "k")
            self.assertIn("network.client_connections_max", child.stderr)
            clients.pop().close()
            wait_until(lambda: self.command(node, "exists", "k").returncode == 1 and
                       "client_connections_max" not in self.command(node, "exists", "k").stderr,
                       "a place for another connection")
            clients.pop().close()


if __name__ == "__main__":
    unittest.main()
