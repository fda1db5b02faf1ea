# SPDX-License-Identifier: Apache-2.0
"""A memkv node as a child process of a test: started on free ports, told to stop, killed, asked."""

import http.client
import json
import os
import queue
import signal
import socket
import subprocess
import threading
import tempfile
import time

SOURCE = os.environ.get("MKV_SOURCE_DIR", os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__)))))
BUILD = os.environ.get("MKV_BUILD_DIR", os.path.join(SOURCE, "build"))
MEMKV = os.path.join(BUILD, "memkv")

START_S_MAX = 60
STOP_S_MAX = 90
COMMAND_S_MAX = 120
# Below the range that the kernel takes ports for connections from, so that it takes none of ours,
# and above those of demo.sh.
PORT_FIRST, PORT_LAST = 21000, 32000


def is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


# Names in the abstract namespace that say which ports are this process's; the kernel forgets them
# with it.
RESERVED = []


def reserve(port):
    """Whether no other test has the port, from before a node listens there until the test ends."""
    name = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        name.bind(f"\0memkv-test-port-{port}")
    except OSError:
        name.close()
        return False
    RESERVED.append(name)
    return True


def free_port():
    """A port that is free together with the next one, where the admin listener is. No other test
    gets it while this process is there, so a node may go and come back."""
    count = (PORT_LAST - PORT_FIRST) // 2
    # Programs that run at the same time begin to look at different places.
    start = (os.getpid() * 7919 + time.monotonic_ns() // 1000) % count
    for step in range(count):
        port = PORT_FIRST + (start + step) % count * 2
        if is_free(port) and is_free(port + 1) and reserve(port):
            return port
    raise RuntimeError("no two ports in a row are free")


def environment(**extra):
    """The environment without variables that would configure a node or a client."""
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith("MEMKV_") and name != "TRACEPARENT"}
    return {**kept, **extra}


def run_memkv(*arguments, **options):
    """Runs a command of memkv to its end."""
    options.setdefault("env", environment())
    return subprocess.run([MEMKV, *arguments], capture_output=True, text=True, check=False,
                          timeout=COMMAND_S_MAX, **options)


class SocketConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=COMMAND_S_MAX)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(COMMAND_S_MAX)
        self.sock.connect(self._path)


class Node:
    """`memkv start` with these arguments; `with` makes sure that it is gone in the end."""

    def __init__(self, *arguments, port=None, program=MEMKV, variables=None,
                 listen="127.0.0.1", **options):
        self.port = port or free_port()
        self.lines = []
        self.errors = []
        self._arrived = queue.Queue()
        self._directory = tempfile.TemporaryDirectory(prefix="memkv-node-")
        # Where tests ask as operators; it takes precedence over what a configuration names.
        self.socket = os.path.join(self._directory.name, "admin.sock")
        options.setdefault("env", environment(MEMKV_ADMIN_SOCKET=self.socket,
                                              **(variables or {})))
        self._process = subprocess.Popen(
            [program, "start", "--listen", f"{listen}:{self.port}", *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            errors="replace", **options)
        self._readers = [
            threading.Thread(target=self._read, args=arguments, daemon=True) for arguments in
            ((self._process.stdout, self.lines), (self._process.stderr, self.errors))]
        for reader in self._readers:
            reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            self._process.kill()
        self.wait()

    @property
    def pid(self):
        return self._process.pid

    def thread_names(self):
        names = []
        for thread in os.listdir(f"/proc/{self.pid}/task"):
            try:
                with open(f"/proc/{self.pid}/task/{thread}/comm", encoding="utf-8") as file:
                    names.append(file.read().strip())
            except (FileNotFoundError, ProcessLookupError):
                pass  # it has ended since
        return names

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def _read(self, stream, lines):
        for line in stream:
            lines.append(line.rstrip("\n"))
            self._arrived.put(line)
        self._arrived.put(None)

    def _all(self):
        return "\n".join(self.lines + self.errors)

    def wait_for(self, text, seconds=START_S_MAX):
        """Waits until a line of either stream holds the text, and returns the line."""
        end = time.monotonic() + seconds
        closed = 0
        while True:
            for line in self.lines + self.errors:
                if text in line:
                    return line
            if closed == len(self._readers):
                raise AssertionError(f"the node ended without saying '{text}':\n{self._all()}")
            try:
                closed += self._arrived.get(timeout=max(0.0, end - time.monotonic())) is None
            except queue.Empty:
                raise AssertionError(f"no '{text}' in {seconds} s:\n{self._all()}") from None

    def ready(self):
        self.wait_for("ready in ")
        return self

    def signal(self, number):
        self._process.send_signal(number)

    def freeze(self):
        """Stops it where it stands; returns when none of its threads runs any more."""
        self.signal(signal.SIGSTOP)
        end = time.monotonic() + STOP_S_MAX
        while any(state != "T" for state in self._thread_states()):
            if time.monotonic() > end:
                raise AssertionError(f"the node is not stopped: {self._thread_states()}")
            time.sleep(0.001)

    def _thread_states(self):
        states = []
        for thread in os.listdir(f"/proc/{self.pid}/task"):
            try:
                with open(f"/proc/{self.pid}/task/{thread}/stat", encoding="utf-8") as file:
                    states.append(file.read().rsplit(")", 1)[1].split()[0])
            except (FileNotFoundError, ProcessLookupError):
                pass  # it has ended since
        return states

    def kill(self):
        """As a machine that loses the process: nothing is said, nothing is closed."""
        self._process.kill()
        return self.wait()

    def terminate(self):
        """Stops it as an operator does; returns what it exits with."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def wait(self, seconds=STOP_S_MAX):
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"the node did not end in {seconds} s:\n{self._all()}") from None
        for reader in self._readers:
            reader.join()
        self._process.stdout.close()
        self._process.stderr.close()
        self._directory.cleanup()
        return self._process.returncode

    def command(self, name, *arguments, **options):
        """Runs a client's command against this node."""
        return run_memkv(name, "--server", self.address, *arguments, **options)

    def admin(self, name, *arguments, **options):
        """Runs a command of `memkv admin` against this node, as an operator."""
        return run_memkv("admin", name, "--socket", self.socket, *arguments, **options)

    def http(self, path, method="GET", body=None, headers=None):
        """The HTTP status and the body that the admin listener answers an operator with."""
        return self._exchange(SocketConnection(self.socket), path, method, body, headers)

    def http_tcp(self, path, method="GET", body=None, headers=None):
        """The same over TCP, as somebody without a credential."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port + 1, timeout=COMMAND_S_MAX)
        return self._exchange(connection, path, method, body, headers)

    @staticmethod
    def _exchange(connection, path, method, body, headers):
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def status(self):
        return json.loads(self.http("/v1/status")[1])
