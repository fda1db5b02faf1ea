#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A drive that can lose its power, for QEMU: a small NBD server on a Unix socket.

usage: ci/lab/nbd.py --socket PATH --image FILE --size BYTES [--seed N] [--sector 512|4096]

Killing a virtual machine loses nothing that its drive has taken: the host keeps it. So the drive of
the machine is this server, whose cache (volatile.py) forgets. It speaks what QEMU's client needs of
the public protocol (github.com/NetworkBlockDevice/nbd, doc/proto.md): fixed newstyle, simple
replies, READ, WRITE, FLUSH, TRIM, WRITE_ZEROES, FUA.

    serving --freeze, or the armed request came--> frozen --cut--> serving, for new connections
                                                   nothing is carried out, nothing answered

Invariants
 I1  Requests that were read at once are answered together, in a drawn order. A flush among them
     owes nothing to the writes among them: they were not answered when it came.
 I2  From the moment it is frozen no request takes effect, until the cut has dropped the cache and
     every connection of before is closed. So frozen, machine killed, cut: one moment in time.

As a program it prints a line and serves until SIGTERM; SIGUSR1 cuts the power of the drive alone,
and its connections are closed.
"""

import argparse
import dataclasses
import os
import select
import signal
import socket
import struct
import sys
import threading

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from lab.volatile import Volatile

# The option phase.
OPTION_MAGIC = 0x49484156454F5054
REPLY_MAGIC = 0x0003E889045565A9
FIXED_NEWSTYLE, NO_ZEROES = 1, 2
OPT_EXPORT_NAME, OPT_ABORT, OPT_LIST, OPT_INFO, OPT_GO = 1, 2, 3, 6, 7
REP_ACK, REP_SERVER, REP_INFO = 1, 2, 3
REP_ERR_UNSUP, REP_ERR_INVALID = (1 << 31) + 1, (1 << 31) + 3
INFO_EXPORT, INFO_BLOCK_SIZE = 0, 3
OPTION_BYTES_MAX = 64 << 10
# The transmission phase.
REQUEST = struct.Struct(">IHHQQI")
REQUEST_MAGIC, SIMPLE_REPLY_MAGIC = 0x25609513, 0x67446698
CMD_READ, CMD_WRITE, CMD_DISC, CMD_FLUSH, CMD_TRIM, CMD_WRITE_ZEROES = 0, 1, 2, 3, 4, 6
CMD_FLAG_FUA, CMD_FLAG_NO_HOLE = 1, 2
HAS_FLAGS, SEND_FLUSH, SEND_FUA, SEND_TRIM, SEND_WRITE_ZEROES = 1, 4, 8, 32, 64
FLAGS = HAS_FLAGS | SEND_FLUSH | SEND_FUA | SEND_TRIM | SEND_WRITE_ZEROES
EINVAL, ENOSPC = 22, 28
PAYLOAD_BYTES_MAX = 32 << 20
# So many requests at most are read before the first of them is answered.
BATCH_MAX = 16
MUTATIONS = (CMD_WRITE, CMD_FLUSH, CMD_TRIM, CMD_WRITE_ZEROES)


class Gone(Exception):
    """The other side has closed the connection, or does not keep to the protocol."""


@dataclasses.dataclass
class Request:
    flags: int
    command: int
    cookie: int
    offset: int
    length: int
    data: bytearray = None


def receive(connection, count):
    data = bytearray(count)
    view = memoryview(data)
    while view:
        got = connection.recv_into(view)
        if got == 0:
            raise Gone()
        view = view[got:]
    return data


class Server:
    """Serves one medium until close(). Calls may come from any thread."""

    def __init__(self, path, medium):
        self.path = path
        self.medium = medium
        self._changed = threading.Condition()
        self._frozen = False
        self._life = 0  # of the medium: how often the power was cut
        self._closed = False
        self._countdown = None
        self._connections = set()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(8)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        with self._changed:
            self._closed = True
            self._end_connections()
        self._listener.shutdown(socket.SHUT_RDWR)  # its thread waits in accept()
        self._listener.close()
        os.unlink(self.path)

    # ---- the power ------------------------------------------------------------------------------

    def arm(self, mutations):
        """Freezes when so many writes, flushes and trims have come: the last is not carried out.
        With None it does not."""
        with self._changed:
            self._countdown = mutations

    def wait_frozen(self, seconds):
        """Whether the armed request came in that time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._frozen, seconds)

    def freeze(self):
        """From now on nothing is carried out and nothing answered."""
        with self._changed:
            self._freeze()

    def cut(self, mode=None):
        """Drops the cache but for a drawn part, and closes all connections. Returns the Cut."""
        with self._changed:
            cut = self.medium.cut(mode)
            self._countdown = None
            self._frozen = False
            self._end_connections()
            return cut

    def _freeze(self):
        self._frozen = True
        self._countdown = None
        self._changed.notify_all()

    def _end_connections(self):
        self._life += 1
        self._changed.notify_all()
        for connection in self._connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the other side was faster
        self._connections.clear()

    # ---- connections ----------------------------------------------------------------------------

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._changed:
                if self._closed:
                    connection.close()
                    return
                self._connections.add(connection)
                life = self._life
            threading.Thread(target=self._serve, args=(connection, life), daemon=True).start()

    def _serve(self, connection, life):
        try:
            if self._negotiate(connection):
                while self._exchange(connection, life):
                    pass
        except (Gone, OSError):
            pass
        finally:
            with self._changed:
                self._connections.discard(connection)
            connection.close()

    def _negotiate(self, connection):
        """The option phase. Whether requests follow."""
        connection.sendall(struct.pack(">8sQH", b"NBDMAGIC", OPTION_MAGIC,
                                       FIXED_NEWSTYLE | NO_ZEROES))
        flags, = struct.unpack(">I", receive(connection, 4))
        while True:
            magic, option, length = struct.unpack(">QII", receive(connection, 16))
            if magic != OPTION_MAGIC or length > OPTION_BYTES_MAX:
                raise Gone()
            data = receive(connection, length)

            def reply(kind, body=b"", option=option):
                connection.sendall(struct.pack(">QIII", REPLY_MAGIC, option, kind, len(body))
                                   + body)

            if option == OPT_EXPORT_NAME:
                padding = b"" if flags & NO_ZEROES else bytes(124)
                connection.sendall(struct.pack(">QH", self.medium.size, FLAGS) + padding)
                return True
            if option in (OPT_INFO, OPT_GO):
                if not self._is_info_request(data):
                    reply(REP_ERR_INVALID)
                    continue
                reply(REP_INFO, struct.pack(">HQH", INFO_EXPORT, self.medium.size, FLAGS))
                reply(REP_INFO, struct.pack(">HIII", INFO_BLOCK_SIZE, self.medium.sector_bytes,
                                            4096, PAYLOAD_BYTES_MAX))
                reply(REP_ACK)
                if option == OPT_GO:
                    return True
            elif option == OPT_LIST:
                reply(REP_SERVER, struct.pack(">I", 0))  # the one drive has no name
                reply(REP_ACK)
            elif option == OPT_ABORT:
                reply(REP_ACK)
                return False
            else:
                reply(REP_ERR_UNSUP)

    @staticmethod
    def _is_info_request(data):
        """Length of the name, the name, which may be any, the number of wishes, and these."""
        if len(data) < 6:
            return False
        name, = struct.unpack_from(">I", data)
        if len(data) < 6 + name:
            return False
        wishes, = struct.unpack_from(">H", data, 4 + name)
        return len(data) == 6 + name + 2 * wishes

    @staticmethod
    def _read_request(connection):
        magic, flags, command, cookie, offset, length = REQUEST.unpack(
            receive(connection, REQUEST.size))
        if magic != REQUEST_MAGIC:
            raise Gone()
        request = Request(flags, command, cookie, offset, length)
        if command == CMD_WRITE:
            if length > PAYLOAD_BYTES_MAX:
                raise Gone()
            request.data = receive(connection, length)
        return request

    def _exchange(self, connection, life):
        """Reads what requests there are and answers them. Whether the connection goes on."""
        batch = [self._read_request(connection)]
        payload = batch[0].length
        while (len(batch) < BATCH_MAX and payload < PAYLOAD_BYTES_MAX
               and batch[-1].command != CMD_DISC
               and select.select([connection], [], [], 0)[0]):
            batch.append(self._read_request(connection))
            payload += batch[-1].length
        with self._changed:
            answered = self.medium.number
            replies = []
            for request in batch:
                if request.command == CMD_DISC:
                    break
                if not self._may_go_on(request, life):
                    return False
                error, data = self._carry_out(request, answered)
                replies.append(struct.pack(">IIQ", SIMPLE_REPLY_MAGIC, error, request.cookie)
                               + data)
            self.medium.random.shuffle(replies)
        connection.sendall(b"".join(replies))
        return batch[-1].command != CMD_DISC

    def _may_go_on(self, request, life):
        """False when the power is gone; does not return while it is going."""
        if self._countdown is not None and request.command in MUTATIONS:
            self._countdown -= 1
            if self._countdown <= 0:
                self._freeze()
        self._changed.wait_for(lambda: not self._frozen or self._life != life)
        return self._life == life

    def _carry_out(self, request, answered):
        """The error, 0 for none, and what was read."""
        medium, fua = self.medium, request.flags & CMD_FLAG_FUA != 0
        end = request.offset + request.length
        if request.command == CMD_FLUSH:
            medium.flush(answered)
        elif end > medium.size:
            return (EINVAL if request.command == CMD_READ else ENOSPC), b""
        elif request.length == 0:
            return EINVAL, b""
        elif request.command == CMD_READ and request.length <= PAYLOAD_BYTES_MAX:
            return 0, bytes(medium.read(request.offset, request.length))
        elif request.command == CMD_WRITE:
            medium.write(request.offset, request.data, fua)
        elif request.command == CMD_TRIM:
            medium.zero(request.offset, request.length, True, fua)
        elif request.command == CMD_WRITE_ZEROES:
            punch = request.flags & CMD_FLAG_NO_HOLE == 0
            medium.zero(request.offset, request.length, punch, fua)
        else:
            return EINVAL, b""
        return 0, b""


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--socket", required=True, help="where to listen; must not exist")
    parser.add_argument("--image", required=True, help="the medium, made where it is not there")
    parser.add_argument("--size", required=True, type=int, help="of the medium, in bytes")
    parser.add_argument("--seed", type=int, default=1, help="of all that is drawn (1)")
    parser.add_argument("--sector", type=int, default=512, choices=[512, 4096],
                        help="bytes that a cut never tears (512)")
    arguments = parser.parse_args()
    signals = {signal.SIGUSR1, signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    medium = Volatile(arguments.image, arguments.size, arguments.seed, arguments.sector)
    server = Server(arguments.socket, medium)
    print(f"serving {arguments.image} on {arguments.socket}, seed {arguments.seed}", flush=True)
    while signal.sigwait(signals) == signal.SIGUSR1:
        print(server.cut(), flush=True)
    server.close()
    medium.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
