# SPDX-License-Identifier: Apache-2.0
"""The real etcd as a child process of a test, and what its keys are."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

from node import environment, free_port
from resp import need

START_S_MAX = 60


class Etcd:
    """One member on two free ports, whose data goes away with close()."""

    def __init__(self):
        need("etcd", "etcd-server")
        self._directory = tempfile.mkdtemp(prefix="memkv-etcd-")
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._peer = f"http://127.0.0.1:{port + 1}"
        self._process = None

    def start(self):
        """Starts it, with the data that is there, and returns when it answers."""
        log = os.path.join(self._directory, "log")
        with open(log, "ab") as output:
            self._process = subprocess.Popen(
                ["etcd", "--name", "one", "--data-dir", os.path.join(self._directory, "data"),
                 "--listen-client-urls", self.url, "--advertise-client-urls", self.url,
                 "--listen-peer-urls", self._peer, "--initial-advertise-peer-urls", self._peer,
                 "--initial-cluster", f"one={self._peer}", "--log-level", "warn"],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment())
        end = time.monotonic() + START_S_MAX
        while True:
            try:
                self.names("/nothing/")
                return self
            except (OSError, urllib.error.URLError):
                if self._process.poll() is not None or time.monotonic() > end:
                    with open(log, encoding="utf-8", errors="replace") as said:
                        raise AssertionError(f"etcd does not start:\n{said.read()}") from None
                time.sleep(0.05)

    def kill(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self):
        self.kill()
        shutil.rmtree(self._directory)

    def call(self, path, **body):
        request = urllib.request.Request(
            self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=START_S_MAX) as answer:
            return json.load(answer)

    @staticmethod
    def _text(text):
        return base64.b64encode(text.encode()).decode()

    def keys(self, prefix):
        """What stands below the prefix: the value of each key, by its name."""
        answer = self.call("/v3/kv/range", key=self._text(prefix),
                           range_end=self._text(prefix[:-1] + chr(ord(prefix[-1]) + 1)))
        return {base64.b64decode(entry["key"]).decode()[len(prefix):]:
                json.loads(base64.b64decode(entry["value"])) for entry in answer.get("kvs", [])}

    def names(self, prefix):
        return sorted(self.keys(prefix))

    def put(self, key, value):
        self.call("/v3/kv/put", key=self._text(key), value=self._text(value))

    def delete(self, key):
        self.call("/v3/kv/deleterange", key=self._text(key))
