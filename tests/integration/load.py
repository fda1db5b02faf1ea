# SPDX-License-Identifier: Apache-2.0
"""A store whose node comes and goes, and load on it that knows what it is owed (load_client.c)."""

import json
import os
import shutil
import signal
import subprocess
import tempfile

from node import BUILD, Node, free_port

LOAD_CLIENT = os.path.join(BUILD, "tests/integration/load_client")

LOAD_S_MAX = 120


class Store:
    """A drive in a directory that goes away with close(), and one node at a time that serves it."""

    def __init__(self, store_size="4GiB", memory="72MiB", block_bytes_max="1MiB"):
        self.directory = tempfile.mkdtemp(prefix="memkv-test-")
        self.path = os.path.join(self.directory, "store.memkv")
        self.config = os.path.join(self.directory, "memkv.yaml")
        self.port = free_port()
        self.node = None
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(
                f"memory:\n  max_size: {memory}\n"
                f"storage:\n  mode: file\n  block_bytes_max: {block_bytes_max}\n"
                f"  drives:\n    - media: {self.path}\n      size: {store_size}\n"
                "log:\n  format: text\n"
            )

    def spawn(self, *arguments):
        """Starts a node and returns at once."""
        assert self.node is None
        self.node = Node("--config", self.config, *arguments, port=self.port)
        return self.node

    def start(self, *arguments):
        """Starts a node and returns when it is ready."""
        try:
            return self.spawn(*arguments).ready()
        except AssertionError:
            self.take().kill()
            raise

    def take(self):
        """The node, which is the caller's from now on."""
        node, self.node = self.node, None
        return node

    def kill(self):
        """SIGKILL. The node must not have ended by itself before."""
        node = self.take()
        status = node.kill()
        if status != -signal.SIGKILL:
            raise AssertionError(f"the node ended by itself with {status}:\n{self.text(node)}")

    def stop(self):
        """SIGTERM, and an orderly end."""
        node = self.take()
        status = node.terminate()
        if status != 0:
            raise AssertionError(f"the node ended with {status}:\n{self.text(node)}")

    def close(self):
        if self.node is not None:
            self.take().kill()
        shutil.rmtree(self.directory)

    @staticmethod
    def text(node):
        """All that a node has said."""
        return "\n".join(node.lines + node.errors)

    def resident_bytes(self):
        with open(f"/proc/{self.node.pid}/status", encoding="ascii") as file:
            for line in file:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024
        raise AssertionError("its resident size is not known")


class Load:
    """Clients of a store's node. What they were answered is checked from then on."""

    def __init__(self, store, *options):
        self.store = store
        self.log = os.path.join(store.directory, "load.log")
        self.options = options
        self.child = None

    def command(self, name, *options):
        return [LOAD_CLIENT, name, "--server", self.store.node.address, "--log", self.log,
                *self.options, *map(str, options)]

    def begin(self, *options):
        """Begins to load and returns when all connections are made."""
        self.child = subprocess.Popen(
            self.command("run", *options), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )
        self.child.stdout.readline()

    def end(self, wait_s=LOAD_S_MAX):
        """Waits for the end of the load; what it came to, as in its JSON."""
        try:
            out, err = self.child.communicate(timeout=wait_s)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.communicate()
            raise AssertionError(f"the load does not end in {wait_s} s") from None
        return self.read(self.child.returncode, out, err)

    def verify(self, *options):
        """Reads every key; fails if the node broke a promise."""
        child = subprocess.run(
            self.command("verify", *options), stdin=subprocess.DEVNULL, capture_output=True,
            text=True, check=False, timeout=LOAD_S_MAX,
        )
        return self.read(child.returncode, child.stdout, child.stderr)

    def read(self, status, out, err):
        if status != 0:
            said = Store.text(self.store.node) if self.store.node else "(it was killed)"
            raise AssertionError(
                f"load_client exited with {status}:\n{err}{out}\nthe node:\n{said}")
        return json.loads(out.strip().split("\n")[-1])
