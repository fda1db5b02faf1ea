# SPDX-License-Identifier: Apache-2.0
"""A collector of spans and log records as a child process of a test: otlp_receiver/receiver.js."""

import json
import os
import queue
import subprocess
import threading
import time

import npm
from node import BUILD, SOURCE

RECEIVER = os.path.join(SOURCE, "tests/integration/otlp_receiver")
PROTOS = os.path.join(SOURCE, "third_party/opentelemetry-proto")
MODULES = os.path.join(BUILD, "otlp_receiver")
WAIT_S_MAX = 60


def install_modules():
    npm.install(RECEIVER, MODULES, "the receiver of spans")


class Receiver:
    """A collector that tells the test what it got."""

    def __init__(self):
        install_modules()
        self.requests = []
        self.spans = []
        self.records = []
        self.service = None  # whose spans `named` gives; None: all
        self._answers = []
        self._ports = None
        self._arrived = queue.Queue()
        self._process = subprocess.Popen(
            ["node", os.path.join(RECEIVER, "receiver.js"), PROTOS], cwd=MODULES,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._wait(lambda: self._ports is not None, "it listens")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _read(self):
        for text in self._process.stdout:
            line = json.loads(text)
            if "listens" in line:
                self._ports = line["listens"]
            elif "request" in line:
                self.requests.append(line["request"])
            elif "span" in line:
                self.spans.append(line)
            elif "record" in line:
                self.records.append(line)
            else:
                self._answers.append(line["answers"])
            self._arrived.put(True)
        self._arrived.put(None)

    def _wait(self, condition, what, seconds=WAIT_S_MAX):
        end = time.monotonic() + seconds
        while not condition():
            try:
                if self._arrived.get(timeout=max(0.0, end - time.monotonic())) is None:
                    raise AssertionError(f"the receiver ended before {what}")
            except queue.Empty:
                raise AssertionError(
                    f"the receiver waited {seconds} s in vain until {what}; it has "
                    f"{json.dumps(self.spans)[-4000:]}") from None

    def endpoint(self, protocol):
        return f"{protocol}://127.0.0.1:{self._ports[protocol]}"

    def answer(self, how, times=None):
        """How the next requests are answered: see receiver.js."""
        order = {"answer": how} if times is None else {"answer": how, "times": times}
        count = len(self._answers)
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        self._wait(lambda: len(self._answers) > count, "it heard how to answer")

    def wait_for_requests(self, count):
        self._wait(lambda: len(self.requests) >= count, f"{count} requests came")

    def wait_for(self, found, what):
        """Waits until found(spans) is something, and returns it."""
        self._wait(lambda: found(self.named()), what)
        return found(self.named())

    def wait_for_records(self, count):
        self._wait(lambda: len(self.records) >= count, f"{count} log records came")
        return [line["record"] for line in list(self.records)]

    def lines(self):
        return [line for line in list(self.spans)
                if self.service in (None, line["resource"]["service.name"])]

    def named(self):
        return [line["span"] for line in self.lines()]

    def close(self):
        self._process.stdin.close()
        try:
            self._process.wait(WAIT_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._process.stdout.close()
