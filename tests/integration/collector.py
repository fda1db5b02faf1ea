# SPDX-License-Identifier: Apache-2.0
"""A collector of spans that only counts them: OTLP over HTTP, as far as a node speaks it. The one
that decodes them is in otlp.py; this one needs nothing that is not in Python."""

import dataclasses
import http.server
import threading

SERVER_KIND = 2


@dataclasses.dataclass
class Counts:
    taken: int = 0
    refused: int = 0
    requests: int = 0  # of both, those of kind server


def fields(message):
    """The fields of a protobuf message: their numbers, and what is in those that have a length."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        number, wire = divmod(varint(), 8)
        if wire == 0:
            yield number, varint()
            continue
        count = varint() if wire == 2 else {1: 8, 5: 4}[wire]
        yield number, message[at:at + count]
        at += count


def span_kinds(message):
    """The kind of each span of an ExportTraceServiceRequest."""
    for _, of_resource in fields(message):
        for number, of_scope in fields(of_resource):
            for inner, span in fields(of_scope) if number == 2 else ():
                if inner == 2:
                    yield dict(fields(span)).get(6, 0)


class Collector:
    """Listens while it is entered; counts apart by the first part of the path."""

    def __init__(self):
        self.refuse = False
        self._lives = {}
        self._lock = threading.Lock()
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                collector.take(self)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def take(self, request):
        kinds = list(span_kinds(request.rfile.read(int(request.headers["Content-Length"]))))
        with self._lock:
            counts = self._lives.setdefault(request.path.split("/")[1], Counts())
            refuse = self.refuse
            if refuse:
                counts.refused += len(kinds)
            else:
                counts.taken += len(kinds)
            counts.requests += kinds.count(SERVER_KIND)
        request.send_response(400 if refuse else 200)
        request.send_header("Content-Type", "application/x-protobuf")
        request.send_header("Content-Length", "0")
        request.end_headers()

    def counts(self, life):
        with self._lock:
            return dataclasses.replace(self._lives.get(life, Counts()))
