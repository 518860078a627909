// better-sqlite3 and node:sqlite, which open file names: SEAWALL_REPLICA names the replica. node.mjs EXTENSION URI LIBRARY
const [extension, , library] = process.argv.slice(2);
const SQL = "SELECT seawall_txid() AS a, count(*) AS b, sum(length(payload)) AS c FROM item";
let loader, read;
if (library === "node:sqlite") {
  const { DatabaseSync } = await import("node:sqlite");
  loader = new DatabaseSync(":memory:", { allowExtension: true });
  loader.loadExtension(extension);
  read = new DatabaseSync("/tmp/app.db", { readOnly: true });
} else {
  const { default: Database } = await import(library);
  loader = new Database(":memory:");
  loader.loadExtension(extension);
  read = new Database("/tmp/app.db", { readonly: true, fileMustExist: false });
}
const row = read.prepare(SQL).get();
console.log(`${row.a}|${row.b}|${row.c}`);
