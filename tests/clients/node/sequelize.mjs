// Sequelize over node-sqlite3.
import { DataTypes, QueryTypes, Sequelize } from "sequelize";
import { first, returnsRows, serve } from "./protocol.mjs";

let db, item;

serve({
  open(path) {
    db = new Sequelize({ dialect: "sqlite", storage: path, logging: false });
    item = db.define("item", { body: DataTypes.TEXT }, { tableName: "item", timestamps: false });
  },
  async value(sql) {
    if (!returnsRows(sql)) return void (await db.query(sql)) ?? null;
    return first((await db.query(sql, { type: QueryTypes.SELECT }))[0]);
  },
  write: (body) => item.create({ body }),
  close: () => db.close(),
});
