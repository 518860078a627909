// better-sqlite3 with Seawall: a Database opens a replica, or the application's own database whose commits a daemon ships.
"use strict";

const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { isMainThread } = require("node:worker_threads");
const BetterSqlite3 = require("better-sqlite3");

const FOLDERS = ["/usr/local/lib", "/usr/lib", `/usr/lib/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu`];
const BY_HAND_S = 86400; // without syncPeriod the store is asked by sync() alone, or once a day
const TIMEOUT_MS = 10000;

let replicas = 0;

// The path of seawall.so: `given`, the environment, or where `make install` and the package put it.
function extensionPath(given) {
  const chosen = given ?? process.env.SEAWALL_EXTENSION;
  const found = chosen ?? FOLDERS.map((folder) => path.join(folder, "seawall.so")).find((file) => fs.existsSync(file));
  if (!found)
    throw new Error(`seawall.so is in none of ${FOLDERS.join(", ")}: name it with the option 'extension' or with SEAWALL_EXTENSION`);
  return found;
}

function milliseconds(value, name) {
  if (!Number.isInteger(value) || value < 0)
    throw new TypeError(`${name} is a number of milliseconds, not ${value}`);
  return value;
}

function whichReplicas(value) {
  if (value !== "all" && value !== "any")
    throw new TypeError(`replicas is 'all' or 'any', not ${value}`);
  return value;
}

// The parameters of the file name, as man seawall-vfs has them.
function parametersOf(options) {
  const { syncUrl, syncPeriod = 0, at, txid, cacheDir, cacheSize } = options;
  if (typeof syncPeriod !== "number" || !(syncPeriod >= 0))
    throw new TypeError(`syncPeriod is a number of seconds, not ${syncPeriod}`);
  if (syncPeriod > 0 && (at !== undefined || txid !== undefined))
    throw new TypeError("a moment ('at', 'txid') does not change: leave out syncPeriod");
  const past = at !== undefined || txid !== undefined;
  const all = {
    replica: syncUrl,
    at: at instanceof Date ? at.toISOString() : at,
    txid,
    follow: past ? undefined : `${Math.max(1, Math.round(1000 * (syncPeriod || BY_HAND_S)))}ms`,
    "cache-dir": cacheDir,
    "cache-size": cacheSize,
  };
  return Object.entries(all).filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`).join("&");
}

function lastReason() {
  const db = new BetterSqlite3(":memory:");
  try {
    return db.prepare("SELECT seawall_error() AS text").get().text;
  } finally {
    db.close();
  }
}

// better-sqlite3 takes no URI file names. So the extension gets the parameters from the environment, for this one open.
function withReplica(name, options, open) {
  const before = process.env.SEAWALL_REPLICA;
  process.env.SEAWALL_REPLICA = `${name.split("/").map(encodeURIComponent).join("/")}?${parametersOf(options)}`;
  try {
    return open();
  } catch (error) {
    const reason = lastReason();
    if (reason)
      error.message = reason;
    else if (!isMainThread)
      error.message += ": a worker opens replicas only if it was started with the option { env: SHARE_ENV }";
    throw error;
  } finally {
    if (before === undefined)
      delete process.env.SEAWALL_REPLICA;
    else
      process.env.SEAWALL_REPLICA = before;
  }
}

// Makes the VFS and the SQL functions exist in this process.
function load(extension) {
  const db = new BetterSqlite3(":memory:");
  try {
    db.loadExtension(extensionPath(extension));
  } finally {
    db.close();
  }
}

const OURS = ["syncUrl", "syncPeriod", "at", "txid", "cacheDir", "cacheSize", "extension"];

class Database extends BetterSqlite3 {
  #url;

  // With `syncUrl`: a replica, read-only; no file is made, and `filename` is only a name. Without it: the database `filename`, as
  // better-sqlite3 opens it.
  constructor(filename, options = {}) {
    const others = Object.fromEntries(Object.entries(options).filter(([name]) => !OURS.includes(name)));
    load(options.extension);
    if (options.syncUrl === undefined) {
      const unused = OURS.find((name) => name !== "extension" && options[name] !== undefined);
      if (unused)
        throw new TypeError(`${unused} is for a replica: give its syncUrl too`);
      super(filename, others);
    } else {
      const name = path.join(fs.realpathSync(os.tmpdir()), `seawall-replica-${process.pid}-${++replicas}`);
      withReplica(name, options, () => super(name, { ...others, readonly: true }));
      this.#url = String(options.syncUrl);
    }
  }

  #value(sql, ...values) {
    return this.prepare(`SELECT ${sql} AS value`).get(...values).value;
  }

  #mustBe(replica, method) {
    if ((this.#url !== undefined) !== replica)
      throw new TypeError(`${method}() is for ${replica ? "a replica: open it with syncUrl" : "the application's own database, not for a replica"}`);
  }

  // ---- of a replica

  // Asks the store. The next statement reads its newest state. Throws if the store does not answer.
  sync() {
    this.#mustBe(true, "sync");
    const before = this.#value("seawall_txid()");
    this.#value("seawall_wait(?, 0)", before + 1);
    this.prepare("SELECT count(*) FROM sqlite_schema").get();
    return { txid: this.#value("seawall_txid()"), changed: this.#value("seawall_txid()") !== before };
  }

  // Waits until the replica has a transaction, such as waitForDurability() of the writer returned. False: not in that time.
  syncUntil(txid, timeout = TIMEOUT_MS) {
    this.#mustBe(true, "syncUntil");
    return this.#value("seawall_wait(?, ?)", txid, milliseconds(timeout, "timeout")) === 1;
  }

  // The state that is read: {txid, time, age, current}: age and current in ms. current: since then nothing newer was known; null: a moment.
  position() {
    this.#mustBe(true, "position");
    return this.prepare("SELECT seawall_txid() AS txid, seawall_time() AS time, seawall_age_ms() AS age, seawall_current_ms() AS current").get();
  }

  // ---- of the application's own database

  // Waits until all that is committed is durable. Returns the restore point that has it; throws if that takes longer, or if no daemon runs.
  waitForDurability(timeout = TIMEOUT_MS, { replicas = "all" } = {}) {
    this.#mustBe(false, "waitForDurability");
    return this.#value("seawall_sync(?, ?)", milliseconds(timeout, "timeout"), whichReplicas(replicas));
  }

  // From now on each commit of this connection waits. One that does not become durable in time is done, and its statement throws.
  waitOnCommit(on = true, { timeout = TIMEOUT_MS, replicas = "all" } = {}) {
    this.#mustBe(false, "waitOnCommit");
    this.#value("seawall_wait_on_commit(?, ?, ?)", on ? 1 : 0, milliseconds(timeout, "timeout"), whichReplicas(replicas));
    return this;
  }

  // The newest restore point that is durable in each replica.
  durableTxid() {
    this.#mustBe(false, "durableTxid");
    return this.#value("seawall_durable_txid()");
  }

  // Why the last statement that failed did so; null: none did.
  reason() {
    return this.#value("seawall_error()");
  }
}

module.exports = Database;
module.exports.SqliteError = BetterSqlite3.SqliteError;
