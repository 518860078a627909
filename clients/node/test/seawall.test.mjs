// Run by tests/clients/test_node_package.py, in a folder where the packed package is installed beside better-sqlite3 and libsql.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { SHARE_ENV, Worker } from "node:worker_threads";
import Database from "seawall";
import LibSql from "libsql";

const program = process.env.SEAWALL;
let folder, app, daemon;

async function until(condition, what) {
  for (let i = 0; i < 600; i++) {
    if (condition()) return;
    await sleep(50);
  }
  assert.fail(`not within 30 s: ${what}`);
}

const replica = () => path.join(folder, "replica");
const lists = () => {
  try {
    execFileSync(program, ["list", replica()], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
};

async function start() {
  daemon = spawn(program, ["replicate", path.join(folder, "app.db"), replica()], { stdio: "ignore" });
  await until(lists, "a restore point");
}

before(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "seawall-node-"));
  app = new Database(path.join(folder, "app.db"));
  app.pragma("journal_mode = WAL");
  app.exec("CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT)");
  app.prepare("INSERT INTO users(name) VALUES (?)").run("Alice");
  await start();
});

after(() => {
  app.close();
  daemon.kill("SIGKILL");
  fs.rmSync(folder, { recursive: true, force: true });
});

const count = (db) => db.prepare("SELECT count(*) AS n FROM users").get().n;

test("what libsql documents of opening, and of a statement, holds for a replica", () => {
  const ours = new Database("replica.db", { syncUrl: replica() });
  const theirs = new LibSql(path.join(folder, "theirs.db"));
  theirs.exec("CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT)");
  theirs.prepare("INSERT INTO users(name) VALUES (?)").run("Alice");
  for (const method of ["prepare", "transaction", "pragma", "exec", "close", "sync", "syncUntil"])
    assert.equal(typeof ours[method], typeof theirs[method], method);
  const query = "SELECT id, name FROM users WHERE id = ?";
  const { _metadata, ...row } = theirs.prepare(query).get(1);   // libsql 0.5.29 adds _metadata to the row of get()
  assert.deepEqual({ ...ours.prepare(query).get(1) }, row);
  assert.deepEqual(ours.prepare(query).all(1).map((one) => ({ ...one })), theirs.prepare(query).all(1).map((one) => ({ ...one })));
  assert.deepEqual(ours.prepare(query).raw().get(1), theirs.prepare(query).raw().get(1));
  assert.equal(ours.prepare(query).get(99), theirs.prepare(query).get(99));
  assert.equal(fs.existsSync("replica.db"), false);
  ours.close();
  theirs.close();
});

test("sync is possible where there is something to sync with, as with libsql", () => {
  const theirs = new LibSql(":memory:");
  assert.throws(() => theirs.sync());
  theirs.close();
  assert.throws(() => app.sync(), /for a replica: open it with syncUrl/);
});

test("a replica stays at its state until sync, and then has what was written", () => {
  const db = new Database("replica.db", { syncUrl: replica() });
  const before = count(db);
  assert.equal(db.sync().changed, false);
  app.prepare("INSERT INTO users(name) VALUES (?)").run("Bob");
  const txid = app.waitForDurability(20000);
  assert.equal(count(db), before, "sync was not called");
  assert.deepEqual(db.sync(), { txid, changed: true });
  assert.equal(count(db), before + 1);
  db.close();
});

test("read your writes: a replica in the place of the writer reads what the writer was told is durable", () => {
  const db = new Database("replica.db", { syncUrl: replica() });
  for (let i = 0; i < 5; i++) {
    app.prepare("INSERT INTO users(name) VALUES (?)").run(`user ${i}`);
    const txid = app.waitForDurability(20000);
    assert.equal(db.syncUntil(txid, 20000), true);
    assert.equal(count(db), count(app));
    assert.equal(db.position().txid >= txid, true);
  }
  assert.equal(db.syncUntil(1e9, 50), false);
  db.close();
});

test("with syncPeriod the newest state comes by itself", async () => {
  const db = new Database("replica.db", { syncUrl: replica(), syncPeriod: 0.05 });
  app.prepare("INSERT INTO users(name) VALUES (?)").run("Carol");
  app.waitForDurability(20000);
  await until(() => count(db) === count(app), "the newest state");
  assert.equal(db.position().current >= 0, true);
  db.close();
});

test("moments of the past are read, and stay", () => {
  const first = new Database("replica.db", { syncUrl: replica(), txid: 1 });
  assert.equal(count(first), 1);
  assert.equal(first.position().current, null);
  assert.throws(() => first.sync(), /without follow/);
  const now = new Database("replica.db", { syncUrl: replica(), at: new Date() });
  assert.equal(count(now), count(app));
  first.close();
  now.close();
});

test("a transaction of a replica reads one state", () => {
  const db = new Database("replica.db", { syncUrl: replica(), syncPeriod: 0.001 });
  db.transaction(() => {
    const before = count(db);
    app.prepare("INSERT INTO users(name) VALUES (?)").run("Dave");
    app.waitForDurability(20000);
    assert.equal(count(db), before);
  })();
  assert.equal(count(db), count(app));
  db.close();
});

test("a replica is read-only, and says so", () => {
  const db = new Database("replica.db", { syncUrl: replica() });
  assert.throws(() => db.exec("INSERT INTO users(name) VALUES ('x')"), { code: "SQLITE_READONLY" });
  assert.throws(() => db.waitForDurability(), /own database/);
  db.close();
});

test("what can't be opened says why", () => {
  assert.throws(() => new Database("x", { syncUrl: path.join(folder, "nothing") }), /nothing/);
  assert.throws(() => new Database("x", { syncUrl: replica(), txid: 1e9 }), /txid/);
  assert.throws(() => new Database("x", { syncUrl: replica(), txid: 1, syncPeriod: 1 }), TypeError);
  assert.throws(() => new Database("x", { syncPeriod: 1 }), /syncUrl/);
  assert.throws(() => new Database("x", { syncUrl: replica(), syncPeriod: "1s" }), TypeError);
  assert.throws(() => new Database("x", { syncUrl: replica(), extension: "/nowhere/seawall.so" }), /nowhere/);
  assert.equal(process.env.SEAWALL_REPLICA, undefined, "no later open is meant");
});

test("a worker opens a replica with the environment of the process", async () => {
  const code = `
    const { parentPort, workerData } = require("node:worker_threads");
    const Database = require("seawall");
    try {
      const db = new Database("replica.db", { syncUrl: workerData });
      parentPort.postMessage(db.prepare("SELECT count(*) AS n FROM users").get().n);
    } catch (error) {
      parentPort.postMessage(error.message);
    }`;
  const ask = (options) => new Promise((resolve, reject) => {
    const worker = new Worker(code, { eval: true, workerData: replica(), ...options });
    worker.on("message", resolve);
    worker.on("error", reject);
  });
  assert.equal(await ask({ env: SHARE_ENV }), count(app));
  assert.match(await ask({}), /SHARE_ENV/);
});

test("each commit waits until it is durable", () => {
  const writer = new Database(path.join(folder, "app.db"), { timeout: 10000 });
  assert.equal(writer.waitOnCommit(true, { timeout: 20000 }), writer);
  const read = new Database("replica.db", { syncUrl: replica() });
  for (let i = 0; i < 3; i++) {
    writer.transaction(() => writer.prepare("INSERT INTO users(name) VALUES (?)").run("Erin"))();
    read.sync();
    assert.equal(count(read), count(writer));
    assert.equal(writer.durableTxid(), read.position().txid);
  }
  writer.waitOnCommit(false);
  read.close();
  writer.close();
});

test("without the daemon a commit is done, and throws", async () => {
  const writer = new Database(path.join(folder, "app.db"), { timeout: 10000 });
  writer.waitOnCommit(true, { timeout: 20000 });
  daemon.kill("SIGKILL");
  await new Promise((resolve) => daemon.once("exit", resolve));
  const before = count(writer);
  assert.throws(() => writer.exec("INSERT INTO users(name) VALUES ('Frank')"), { code: /^SQLITE_IOERR/ });
  assert.match(writer.reason(), /the commit is done, but it is not known to be durable: .*no daemon runs on it/);
  assert.equal(count(writer), before + 1);
  assert.throws(() => app.waitForDurability(100), /no daemon runs on it/);
  writer.close();
  await start();
});
