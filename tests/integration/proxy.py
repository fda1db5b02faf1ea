# SPDX-License-Identifier: Apache-2.0
"""`memkv proxy` as a child process of a test, and servers behind it."""

import queue
import subprocess
import tempfile
import threading

from node import MEMKV, Node, environment, free_port
from resp import Connection


class Proxy(Node):
    """A proxy in front of these servers; what a node is told, and how, it is told too."""

    def __init__(self, servers, *arguments, listen="127.0.0.1", variables=None, prefix=(),
                 **options):
        self.resp_port = self.port = free_port()
        self.host = listen
        self.lines = []
        self.errors = []
        self._arrived = queue.Queue()
        self._directory = tempfile.TemporaryDirectory(prefix="memkv-proxy-")
        options.setdefault("env", environment(**(variables or {})))
        named = ("--servers", ",".join(servers)) if servers else ()
        self._process = subprocess.Popen(
            [*prefix, MEMKV, "proxy", "--listen", f"{listen}:{self.port}", *named, *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            errors="replace", **options)
        self._readers = [
            threading.Thread(target=self._read, args=streams, daemon=True) for streams in
            ((self._process.stdout, self.lines), (self._process.stderr, self.errors))]
        for reader in self._readers:
            reader.start()

    def connect(self):
        return Connection(self.resp_port)

    def figures(self):
        """What INFO says, by field."""
        with self.connect() as connection:
            lines = connection.bulk("INFO", "everything").decode().split("\r\n")
        return dict(line.split(":", 1) for line in lines if ":" in line)
