#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Clients of the server's machine: values through shared memory, rights by user, both ends."""

import ctypes
import os
import socket
import subprocess
import tempfile
import time
import unittest

import libmemkv as lib
from node import BUILD, Node, environment, run_memkv

MIB = 1024 * 1024
WAIT_S_MAX = 60
NOBODY = 65534


def wait_until(condition, what):
    end = time.monotonic() + WAIT_S_MAX
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not in {WAIT_S_MAX} s: {what}")
        time.sleep(0.05)


class Error(ctypes.Structure):
    _fields_ = [("status", ctypes.c_uint), ("text", ctypes.c_char * 256)]


class Client:
    """libmemkv with buffers that it gives."""

    def __init__(self, servers, **options):
        self.calls = ctypes.CDLL(os.path.join(BUILD, "libmemkv.so"))
        pointer = ctypes.c_void_p
        self.calls.memkv_buffer_alloc.restype = pointer
        self.calls.memkv_buffer_alloc.argtypes = [pointer, ctypes.c_size_t]
        self.calls.memkv_buffer_free.argtypes = [pointer, pointer]
        self.calls.memkv_put.argtypes = [pointer, ctypes.c_char_p, ctypes.c_size_t, pointer,
                                           ctypes.c_uint64, ctypes.c_uint32, pointer]
        self.calls.memkv_get.argtypes = [pointer, ctypes.c_char_p, ctypes.c_size_t, pointer,
                                           ctypes.c_uint64, pointer, pointer]
        self.calls.memkv_close.argtypes = [pointer]
        self.handle = pointer()
        self.error = Error()
        options = lib.Options(servers=servers.encode(), timeout_ms=lib.TIMEOUT_MS, **options)
        self.opened = self.calls.memkv_open(ctypes.byref(options), ctypes.byref(self.handle),
                                              ctypes.byref(self.error))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.calls.memkv_close(self.handle)

    def buffer(self, size):
        return self.calls.memkv_buffer_alloc(self.handle, size)

    def free(self, buffer):
        self.calls.memkv_buffer_free(self.handle, buffer)

    def put(self, key, buffer, size, flags=0):
        return self.calls.memkv_put(self.handle, key, len(key), buffer, size, flags,
                                      ctypes.byref(self.error))

    def get(self, key, buffer, capacity):
        count = ctypes.c_uint64()
        status = self.calls.memkv_get(self.handle, key, len(key), buffer, capacity,
                                        ctypes.byref(count), ctypes.byref(self.error))
        return status, count.value


class ShmTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="memkv-shm-")
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        os.chmod(self.directory, 0o755)
        self.path = os.path.join(self.directory, "memkv.sock")
        self.servers = f"unix:{self.path}"

    def start(self, *arguments, **variables):
        node = Node("--dev", os.path.join(self.directory, "data"), *arguments,
                    variables={"MEMKV_NETWORK_SHM_PATH": self.path, **variables})
        self.addCleanup(node.__exit__)
        return node.ready()

    def windows(self, node):
        """Windows that the daemon has mapped."""
        with open(f"/proc/{node.pid}/maps", encoding="utf-8") as file:
            return sum("memkv-window" in line for line in file)

    def round_trip(self, client, sizes):
        for size in sizes:
            key = f"key-{size}".encode()
            data = os.urandom(size)
            source, target = client.buffer(size), client.buffer(size + 8192)
            ctypes.memmove(source, data, size)
            self.assertEqual(client.put(key, source, size, lib.REPLACE), lib.OK, client.error.text)
            self.assertEqual(client.get(key, target, size + 8192), (lib.OK, size))
            self.assertEqual(ctypes.string_at(target, size), data)
            client.free(source)
            client.free(target)

    def metric(self, node, line):
        for text in node.http("/v1/metrics")[1].splitlines():
            if text.startswith(line + " "):
                return float(text.split()[-1])
        raise AssertionError(f"no {line}")

    def test_shm__all_sizes_and_commands__through_window_and_socket(self):
        node = self.start()
        with Client(self.servers) as client:
            self.assertEqual(client.opened, lib.OK, client.error.text)
            self.assertEqual(self.windows(node), 1)
            self.round_trip(client, [1, 4096, 65536, 65537, MIB + 1, 4 * MIB, 20 * MIB,
                                     36 * MIB + 1])  # more than a block has
            with Client(node.address) as other:  # over TCP: the same keys
                buffer = other.buffer(4 * MIB)
                self.assertEqual(other.get(b"key-4194304", buffer, 4 * MIB), (lib.OK, 4 * MIB))
                other.free(buffer)
        file = os.path.join(self.directory, "file")
        with open(file, "wb") as out:
            out.write(os.urandom(3 * MIB))
        variables = environment(MEMKV_SERVERS=self.servers, MEMKV_TRANSPORT="shm")
        self.assertEqual(run_memkv("put", "k", file, env=variables).returncode, 0)
        back = os.path.join(self.directory, "back")
        self.assertEqual(run_memkv("get", "k", back, env=variables).returncode, 0)
        with open(file, "rb") as put, open(back, "rb") as got:
            self.assertEqual(put.read(), got.read())
        self.assertEqual(run_memkv("exists", "k", env=variables).returncode, 0)
        self.assertEqual(run_memkv("delete", "k", env=variables).returncode, 0)
        self.assertNotEqual(run_memkv("exists", "k", env=variables).returncode, 0)
        wait_until(lambda: self.windows(node) == 0, "windows go with their clients")
        moved = 'memkv_bytes_in_total{fabric="shm",listener="native"}'
        self.assertGreater(self.metric(node, moved), 25 * MIB)
        self.assertIn("shm", node.status()["fabric"])
        self.assertEqual(node.terminate(), 0)
        self.assertFalse(os.path.exists(self.path))

    def test_shm__daemon_is_killed__buffers_stay_and_the_next_one_serves(self):
        node = self.start()
        with Client(self.servers, shared_mib=8) as client:
            kept = client.buffer(MIB)
            data = os.urandom(MIB)
            ctypes.memmove(kept, data, MIB)
            self.round_trip(client, [MIB])
            node.kill()
            self.assertNotEqual(client.put(b"lost", kept, MIB), lib.OK)
            self.assertEqual(ctypes.string_at(kept, MIB), data)
            node = self.start()  # takes the path that is left over
            wait_until(lambda: client.put(b"kept", kept, MIB) == lib.OK, client.error.text)
            self.assertEqual(self.windows(node), 1)
            self.assertEqual(ctypes.string_at(kept, MIB), data)
            self.assertEqual(client.get(b"key-1048576", kept, MIB)[0], lib.OK)
        second = subprocess.run(
            [os.path.join(BUILD, "memkv"), "start", "--dev", os.path.join(self.directory, "b"),
             "--listen", "127.0.0.1:0"], env=environment(MEMKV_NETWORK_SHM_PATH=self.path),
            capture_output=True, text=True, timeout=WAIT_S_MAX, check=False)
        self.assertNotEqual(second.returncode, 0)

    def test_shm__clients_that_die_or_are_many__leave_nothing(self):
        node = self.start(MEMKV_NETWORK_SHM_WINDOW_BYTES="2MiB")
        program = (f"import sys; sys.path.insert(0, {os.path.dirname(__file__)!r})\n"
                   "import os, test_shm\n"
                   f"client = test_shm.Client({self.servers!r})\n"
                   "buffer = client.buffer(1048576)\n"
                   "assert client.put(b'k', buffer, 1048576, 1) == 0\n"
                   "while True:\n"
                   "    client.get(b'k', buffer, 1048576)\n"
                   "    print(flush=True)\n")
        dying = [subprocess.Popen(["/usr/bin/python3", "-c", program], stdout=subprocess.PIPE)
                 for _ in range(2)]
        for child in dying:
            child.stdout.readline()
            child.kill()
            child.wait()
            child.stdout.close()
        wait_until(lambda: self.windows(node) == 0, "windows of clients that died")
        # Sockets that say nothing, or nonsense, or half a frame.
        silent = []
        for text in (b"", b"x" * 64, b"MKV1\x01\x01", b"\0" * 4096):
            peer = socket.socket(socket.AF_UNIX)
            peer.connect(self.path)
            peer.sendall(text)
            silent.append(peer)
        with Client(self.servers) as client:
            self.round_trip(client, [MIB, 2 * MIB])  # the second is beyond what is shared
        for peer in silent:
            peer.close()

    def test_shm__two_shards__each_serves_the_keys_of_both(self):
        node = self.start(MEMKV_NODE_SHARDS="2")
        clients = [Client(self.servers, shared_mib=8) for _ in range(6)]
        for number, client in enumerate(clients):
            self.assertEqual(client.opened, lib.OK, client.error.text)
            buffer = client.buffer(MIB)
            ctypes.memset(buffer, number + 1, MIB)
            self.assertEqual(client.put(b"key-%d" % number, buffer, MIB), lib.OK)
        for client in clients:
            buffer = client.buffer(MIB)
            for number in range(len(clients)):
                self.assertEqual(client.get(b"key-%d" % number, buffer, MIB), (lib.OK, MIB))
                self.assertEqual(ctypes.string_at(buffer, MIB), bytes([number + 1]) * MIB)
        self.assertEqual(self.windows(node), len(clients))
        for client in clients:
            client.__exit__()
        wait_until(lambda: self.windows(node) == 0, "windows go with their clients")
        self.assertEqual(node.terminate(), 0)

    @unittest.skipUnless(os.geteuid() == 0, "only root can become other users")
    def test_shm__other_users__need_a_key_or_a_place_in_the_list(self):
        os.chmod(self.directory, 0o777)
        node = self.start()
        variables = environment(MEMKV_SERVERS=self.servers)
        as_nobody = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        child = run_memkv("exists", "k", env=variables, **as_nobody)
        self.assertIn("protected mode", child.stderr)
        self.assertEqual(node.terminate(), 0)
        key = os.path.join(self.directory, "key")
        self.assertEqual(run_memkv("auth", "keygen", "--output", key).returncode, 0)
        with open(key, encoding="utf-8") as file:
            digits = file.read().strip()
        node = self.start(MEMKV_NETWORK_AUTH_KEY=key)
        child = run_memkv("exists", "k", env=variables, **as_nobody)
        self.assertIn("a key", child.stderr)
        with_key = {**variables, "MEMKV_AUTH_KEY": digits}
        child = run_memkv("exists", "k", env=with_key, **as_nobody)
        self.assertIn("missing", child.stdout)
        # Root is asked nothing.
        self.assertIn("missing", run_memkv("exists", "k", env=variables).stdout)
        self.assertEqual(node.terminate(), 0)
        self.start(MEMKV_NETWORK_SHM_USERS=f"{NOBODY}")
        child = run_memkv("exists", "k", env=variables, **as_nobody)
        self.assertIn("missing", child.stdout, child.stderr)


if __name__ == "__main__":
    unittest.main()
