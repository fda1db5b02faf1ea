// SPDX-License-Identifier: Apache-2.0
// A collector of spans and logs for tests: takes OTLP over HTTP and gRPC, each on a port of its own,
// decodes what comes with the protocol's own .proto files, and says it in lines of JSON.
//
//     node receiver.js FOLDER     the .proto files; modules lie in node_modules of the working folder
//
//     out  {"listens": {"http": PORT, "grpc": PORT}}
//     out  {"request": {"protocol", "path", "answer", "content_type", "te", "user_agent", "spans"}}
//     out  {"span": {…}, "resource": {…}, "scope": {…}, "protocol"}   only of requests it took
//     out  {"record": {…}, "resource": {…}, "scope": {…}, "protocol"}     the same of log records
//     in   {"answer": "ok" | "unavailable" | "refuse" | "partial" | "hang", "times": N}
//                                 how the next N requests are answered; without N all from now on
'use strict';

const http = require('http');
const path = require('path');
const readline = require('readline');
const { createRequire } = require('module');

const modules = createRequire(path.join(process.cwd(), 'node_modules', 'x.js'));
const grpc = modules('@grpc/grpc-js');
const protoLoader = modules('@grpc/proto-loader');
const protobuf = modules('protobufjs');

const folder = process.argv[2];
const SERVICES = ['trace', 'logs'].map((kind) => {
  const name = kind === 'trace' ? 'Trace' : 'Logs';
  return {
    file: `opentelemetry/proto/collector/${kind}/v1/${kind}_service.proto`,
    service: `opentelemetry.proto.collector.${kind}.v1.${name}Service`,
    message: `opentelemetry.proto.collector.${kind}.v1.Export${name}ServiceRequest`,
    path: kind === 'trace' ? '/v1/traces' : '/v1/logs',
    kind,
  };
});
// As collectors of today answer when they keep a part only: ExportTracePartialSuccess in field 1,
// with rejected_spans 1.
const PARTIAL = Buffer.from([0x0a, 0x02, 0x08, 0x01]);

let answer = 'ok';
let times = Infinity;

function say(line) {
  process.stdout.write(JSON.stringify(line) + '\n');
}

function nextAnswer() {
  const now = times > 0 ? answer : 'ok';
  times -= 1;
  return now;
}

function value(any) {
  const kind = Object.keys(any).find((key) => key.endsWith('Value'));
  return kind === undefined ? null : any[kind];
}

function attributes(list) {
  const found = {};
  for (const pair of list || []) {
    if (pair.key in found) {
      throw new Error(`attribute ${pair.key} comes twice`);
    }
    found[pair.key] = value(pair.value);
  }
  return found;
}

function hex(bytes) {
  return Buffer.from(bytes || []).toString('hex');
}

function plain(span) {
  return {
    trace_id: hex(span.traceId),
    span_id: hex(span.spanId),
    parent_id: hex(span.parentSpanId),
    name: span.name,
    kind: span.kind,
    start_ns: span.startTimeUnixNano,
    end_ns: span.endTimeUnixNano,
    attributes: attributes(span.attributes),
    events: (span.events || []).map((event) => ({
      name: event.name,
      time_ns: event.timeUnixNano,
      attributes: attributes(event.attributes),
    })),
    status: span.status ? { code: span.status.code, message: span.status.message || '' } : null,
  };
}

function plainRecord(record) {
  return {
    trace_id: hex(record.traceId),
    time_ns: record.timeUnixNano,
    observed_ns: record.observedTimeUnixNano,
    severity: [record.severityNumber, record.severityText],
    body: value(record.body),
    attributes: attributes(record.attributes),
  };
}

function recordsOf(request) {
  const found = [];
  for (const ofResource of request.resourceLogs || []) {
    for (const ofScope of ofResource.scopeLogs || []) {
      for (const record of ofScope.logRecords || []) {
        found.push({
          record: plainRecord(record),
          resource: attributes(ofResource.resource.attributes),
          scope: { name: ofScope.scope.name, version: ofScope.scope.version },
        });
      }
    }
  }
  return found;
}

function spansOf(request) {
  const found = [];
  for (const ofResource of request.resourceSpans || []) {
    for (const ofScope of ofResource.scopeSpans || []) {
      for (const span of ofScope.spans || []) {
        found.push({
          span: plain(span),
          resource: attributes(ofResource.resource.attributes),
          scope: { name: ofScope.scope.name, version: ofScope.scope.version },
        });
      }
    }
  }
  return found;
}

function tell(protocol, where, how, headers, found) {
  say({
    request: {
      protocol,
      path: where,
      answer: how,
      content_type: headers['content-type'],
      te: headers.te,
      user_agent: headers['user-agent'],
      spans: found.length,
    },
  });
  if (how === 'ok' || how === 'partial') {
    found.forEach((line) => say({ ...line, protocol }));
  }
}

const OPTIONS = { longs: String, enums: String, defaults: false, oneofs: false };

function decoded(of, message) {
  return of.kind === 'trace' ? spansOf(message) : recordsOf(message);
}

function listenHttp() {
  const root = new protobuf.Root();
  root.resolvePath = (origin, target) => path.join(folder, target);
  root.loadSync(SERVICES.map((of) => of.file));
  const server = http.createServer((request, response) => {
    const parts = [];
    const of = SERVICES.find((service) => service.path === request.url);
    request.on('data', (part) => parts.push(part));
    request.on('end', () => {
      if (of === undefined) {
        response.writeHead(404);
        response.end();
        return;
      }
      const how = nextAnswer();
      const type = root.lookupType(of.message);
      const message = type.toObject(type.decode(Buffer.concat(parts)), OPTIONS);
      tell('http', request.url, how, request.headers, decoded(of, message));
      if (how === 'hang') {
        return;
      }
      const status = { ok: 200, partial: 200, unavailable: 503, refuse: 400 }[how];
      response.writeHead(status, { 'Content-Type': 'application/x-protobuf' });
      response.end(how === 'partial' ? PARTIAL : Buffer.alloc(0));
    });
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve(server.address().port));
  });
}

function answerCall(of, call, callback) {
  const how = nextAnswer();
  tell('grpc', call.getPath(), how, call.metadata.getMap(), decoded(of, call.request));
  if (how === 'ok') {
    callback(null, Buffer.alloc(0));
  } else if (how === 'partial') {
    callback(null, PARTIAL);
  } else if (how === 'unavailable') {
    callback({ code: grpc.status.UNAVAILABLE, details: 'busy' });
  } else if (how === 'refuse') {
    callback({ code: grpc.status.INVALID_ARGUMENT, details: 'no such thing' });
  }
}

function listenGrpc() {
  const definition = protoLoader.loadSync(SERVICES.map((of) => of.file), {
    ...OPTIONS,
    includeDirs: [folder],
  });
  const server = new grpc.Server();
  for (const of of SERVICES) {
    // The answer is bytes of our own, since these files know no partial success.
    const method = { ...definition[of.service].Export, responseSerialize: (bytes) => bytes };
    server.addService({ Export: method }, {
      Export: (call, callback) => answerCall(of, call, callback),
    });
  }
  return new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => {
      if (error) {
        reject(error);
      } else {
        resolve(port);
      }
    });
  });
}

async function main() {
  say({ listens: { http: await listenHttp(), grpc: await listenGrpc() } });
  const lines = readline.createInterface({ input: process.stdin });
  lines.on('line', (line) => {
    const order = JSON.parse(line);
    answer = order.answer;
    times = order.times === undefined ? Infinity : order.times;
    say({ answers: answer });
  });
  // Whoever started this has gone.
  lines.on('close', () => process.exit(0));
}

main();
