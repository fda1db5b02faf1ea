// SPDX-License-Identifier: Apache-2.0
// npm's redis with RESP: 3 against the port of the first argument; says what it saw as JSON.
const { createClient, RESP_TYPES } = require("redis");

async function main() {
  const client = createClient({
    url: `redis://127.0.0.1:${process.argv[2]}`,
    RESP: 3,
    name: "tester",
  });
  const errors = [];
  client.on("error", (error) => errors.push(String(error)));
  await client.connect();
  const seen = {};
  seen.ping = await client.ping();
  seen.set = await client.set("node:text", "héllo");
  seen.get = await client.get("node:text");
  seen.missing = await client.get("node:missing");
  const bytes = Buffer.alloc(3 * 1024 * 1024, 0);
  for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 2654435761) >>> 24;
  await client.set("node:bytes", bytes);
  const binary = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  seen.bytes_equal = Buffer.compare(await binary.get("node:bytes"), bytes) === 0;
  seen.exists = await client.exists(["node:text", "node:missing"]);
  seen.mget = await client.mGet(["node:text", "node:missing"]);
  const many = await Promise.all(
    Array.from({ length: 500 }, (_, i) => client.set(`node:${i}`, `value ${i}`)));
  seen.many_set = many.every((reply) => reply === "OK");
  const values = await Promise.all(
    Array.from({ length: 500 }, (_, i) => client.get(`node:${i}`)));
  seen.many_get = values.every((value, i) => value === `value ${i}`);
  seen.config = await client.configGet("maxmemory-policy");
  seen.name = await client.clientGetName();
  seen.info = (await client.clientInfo()).resp;
  seen.replication = (await client.info("replication")).includes("role:master");
  seen.unknown = await client.sendCommand(["NOSUCH", "x"]).catch((error) => String(error));
  seen.ping_after = await client.ping();
  seen.deleted = await client.del(["node:text", "node:missing"]);
  await client.close();
  seen.errors = errors;
  console.log(JSON.stringify(seen));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
