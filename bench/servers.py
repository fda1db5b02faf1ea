# SPDX-License-Identifier: Apache-2.0
"""The servers that benchmarks compare, as child processes: memkv with both of its listeners, and
redis-server without persistence. Both keep their files in a folder of the caller's."""
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request

from rounds import BUILD, ROOT

sys.path.insert(0, os.path.join(ROOT, "tests/integration"))
from node import free_port  # noqa: E402

WAIT_S = 60
PROGRAM = f"bench/{os.path.basename(sys.argv[0])}"


class Resp:
    """One connection that asks a thing at a time."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), WAIT_S)
        self.file = self.socket.makefile("rb")

    def ask(self, *words):
        words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.socket.sendall(b"*%d\r\n" % len(words) +
                            b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
        return self.answer()

    def answer(self):
        line = self.file.readline().rstrip(b"\r\n")
        kind, rest = line[:1], line[1:]
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self.answer() for _ in range(int(rest))]
        return int(rest) if kind == b":" else rest

    def info(self):
        lines = self.ask("INFO").decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)


class Server:
    def wait(self):
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            if self.process.poll() is not None:
                sys.exit(f"{PROGRAM}: {self.name} ended while it started{self.last_words()}")
            try:
                self.resp = Resp(self.port)
                self.resp.ask("EXISTS", "ready")  # PING is answered while drives open, too
                return self
            except (OSError, RuntimeError):
                time.sleep(0.05)
        sys.exit(f"{PROGRAM}: {self.name} does not answer at port {self.port}")

    def last_words(self):
        return ""

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(WAIT_S)

    def cpu_s(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Redis(Server):
    name = "redis-server"

    def __init__(self, directory, memory):
        self.port = free_port()
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--save", "", "--appendonly", "no",
             "--dir", directory, "--maxmemory", str(memory), "--maxmemory-policy", "allkeys-lru"],
            stdout=subprocess.DEVNULL)

    def __enter__(self):
        return self.wait()

    def used_bytes(self):
        return int(self.resp.info()["used_memory"])

    def empty(self):
        self.resp.ask("FLUSHALL", "SYNC")


class Memkv(Server):
    name = "memkv"

    def __init__(self, directory, memory, drive, block_bytes_max=None):
        self.port = free_port()
        self.native_port = free_port()
        path = os.path.join(directory, "memkv.yaml")
        with open(path, "w", encoding="ascii") as file:
            file.write(f"""network:
  address: 127.0.0.1:{self.native_port}
  resp_address: 127.0.0.1:{self.port}
memory:
  max_size: {memory >> 21 << 1}MiB
storage:
  mode: file
  scrub_rate: 0B
{f"  block_bytes_max: {block_bytes_max}B" if block_bytes_max else ""}
  drives:
    - media: {directory}/store
      size: {drive >> 20}MiB
""")
        self.log = open(os.path.join(directory, "log"), "w+b")
        self.process = subprocess.Popen([os.path.join(BUILD, "memkv"), "start", "--config", path],
                                        stdout=self.log, stderr=self.log)

    def __enter__(self):
        return self.wait()

    def last_words(self):
        self.log.seek(0)
        return ":\n" + self.log.read()[-2000:].decode(errors="replace")

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.native_port + 1}/v1/metrics",
                                    timeout=WAIT_S) as answer:
            text = answer.read().decode()
        sums = {}
        for name, value in re.findall(r"(?m)^([a-z_0-9]+)(?:\{[^\n]*\})? ([^ \n]+)$", text):
            sums[name] = sums.get(name, 0) + float(value)
        return sums

    def used_bytes(self):
        """Of the drive, when nothing waits to be written to it."""
        last = None
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            time.sleep(0.4)  # figures are copies that may be a little old
            metrics = self.metrics()
            now = [metrics[name] for name in ("memkv_storage_used_bytes", "memkv_blocks_total",
                                              "memkv_blocks_persisted")]
            if now == last and now[1] == now[2]:
                return int(now[0])
            last = now
        sys.exit(f"{PROGRAM}: writes of memkv do not come to an end")

    def empty(self):
        self.resp.ask("FLUSHALL")
        self.used_bytes()


def redis_benchmark(port, *arguments):
    """Requests a second, as redis-benchmark says."""
    done = subprocess.run(["redis-benchmark", "-p", str(port), "--csv", *map(str, arguments)],
                          capture_output=True, text=True, timeout=600, check=False)
    line = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""
    match = re.match(r'"[^"]*","([0-9.]+)"', line)
    if done.returncode != 0 or match is None or "rror" in done.stderr:
        sys.exit(f"{PROGRAM}: redis-benchmark failed: {done.stdout[-400:]}{done.stderr[-400:]}")
    rate = float(match.group(1))
    if rate == 0:
        sys.exit(f"{PROGRAM}: a turn is too short for redis-benchmark to measure; use more --bytes")
    return rate
