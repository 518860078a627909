// The protocol of a client: see ../python/protocol.py. The functions of a client may be asynchronous.
import { createInterface } from "node:readline";

export const first = (row) => (row === undefined || row === null ? null : Object.values(row)[0] ?? null);

// Statements that return rows. Some libraries have another call for the others.
export const returnsRows = (sql) => /^\s*(select|pragma|explain|with)\b/i.test(sql);

async function write(client, number) {
  let failed = 0, why = "";
  for (let at = 0; at < number; at++) {
    try {
      await client.write(`row ${at} `.repeat(20));
    } catch (error) {
      failed++;
      why ||= String(error);
    }
  }
  return { failed, why };
}

export async function serve(client) {
  for await (const line of createInterface({ input: process.stdin })) {
    const at = line.indexOf(" ");
    const command = at < 0 ? line : line.slice(0, at), rest = at < 0 ? "" : line.slice(at + 1);
    let answer;
    try {
      if (command === "write") answer = await write(client, Number(rest));
      else if (command === "value") answer = { value: await client.value(rest) };
      else answer = (await client[command](rest), {});
    } catch (error) {
      answer = { error: String(error) };
    }
    process.stdout.write(JSON.stringify(answer, (_, value) => (typeof value === "bigint" ? Number(value) : value)) + "\n");
  }
  process.exit(0);
}
