# SPDX-License-Identifier: Apache-2.0
"""QEMU's monitor protocol: commands, and the events that come of them."""

import json
import threading
import time

from lab.error import LabError

ANSWER_S_MAX = 60
EVENTS_KEPT_MAX = 1000


class Monitor:
    """The monitor of one machine, over a connected socket; one command at a time."""

    def __init__(self, connection):
        self._connection = connection
        self._received = b""
        self._lock = threading.Lock()
        self.events = []
        self._message(time.monotonic() + ANSWER_S_MAX)  # the greeting
        self.command("qmp_capabilities")

    def close(self):
        self._connection.close()

    def _message(self, end):
        while b"\n" not in self._received:
            self._connection.settimeout(max(0.01, end - time.monotonic()))
            try:
                piece = self._connection.recv(65536)
            except TimeoutError:
                raise LabError("QEMU's monitor does not answer; the machine is stopped, or this "
                               "one too busy") from None
            except OSError as error:
                raise LabError(f"QEMU's monitor is gone: {error}") from None
            if not piece:
                raise LabError("QEMU has ended; its last words are in the machine's qemu.log")
            self._received += piece
        line, self._received = self._received.split(b"\n", 1)
        message = json.loads(line)
        if "event" in message:
            self.events = [*self.events[1 - EVENTS_KEPT_MAX:], message]
        return message

    def command(self, name, **arguments):
        """What QEMU returns; LabError with its words when it refuses."""
        request = {"execute": name}
        if arguments:
            request["arguments"] = arguments
        with self._lock:
            end = time.monotonic() + ANSWER_S_MAX
            try:
                self._connection.sendall(json.dumps(request).encode() + b"\n")
            except OSError as error:
                raise LabError(f"QEMU's monitor is gone: {error}") from None
            while True:
                message = self._message(end)
                if "return" in message:
                    return message["return"]
                if "error" in message:
                    raise LabError(f"QEMU refuses {name}: {message['error']['desc']}")

    def wait_for(self, name, seconds, **data):
        """Waits for an event of this name with these data that no wait_for has returned before."""
        end = time.monotonic() + seconds
        with self._lock:
            while True:
                for event in self.events:
                    if event["event"] == name and data.items() <= event.get("data", {}).items():
                        self.events.remove(event)
                        return event
                self._message(end)
