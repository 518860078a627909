import BetterSqlite3 = require("better-sqlite3");

declare namespace Database {
  interface Options extends BetterSqlite3.Options {
    /** A replica: an S3 URL with its options, a file:// URL, or the path of a folder. Without it the database itself is opened. */
    syncUrl?: string;
    /** Seconds between two questions to the store; 0, the default: sync() asks. */
    syncPeriod?: number;
    /** The last restore point that is not later. */
    at?: Date | string;
    /** The state after this transaction. */
    txid?: number;
    /** A folder for what was fetched, and its limit, such as "1G". */
    cacheDir?: string;
    cacheSize?: string;
    /** Path of seawall.so; also SEAWALL_EXTENSION. */
    extension?: string;
  }
  interface Position {
    txid: number;
    time: string;
    /** ms since that transaction. */
    age: number;
    /** ms since the store had nothing newer; null: a moment of the past. */
    current: number | null;
  }
  interface WaitOptions {
    /** ms */
    timeout?: number;
    replicas?: "all" | "any";
  }
}

declare class Database extends BetterSqlite3 {
  constructor(filename: string, options?: Database.Options);
  sync(): { txid: number; changed: boolean };
  syncUntil(txid: number, timeout?: number): boolean;
  position(): Database.Position;
  waitForDurability(timeout?: number, options?: { replicas?: "all" | "any" }): number;
  waitOnCommit(on?: boolean, options?: Database.WaitOptions): this;
  durableTxid(): number;
  reason(): string | null;
  static SqliteError: typeof BetterSqlite3.SqliteError;
}

export = Database;
