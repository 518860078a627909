//! sqlx with a pool, and its bundled SQLite. The protocol is that of ../../../python/protocol.py.
use serde_json::json;
use sqlx::{sqlite::SqliteConnectOptions, Row, SqlitePool, TypeInfo, ValueRef};
use std::io::{BufRead, Write};

type Failure = Box<dyn std::error::Error>;

async fn value(db: &SqlitePool, sql: &str) -> Result<serde_json::Value, Failure> {
    let Some(row) = sqlx::query(sql).fetch_optional(db).await? else { return Ok(json!(null)) };
    let kind = row.try_get_raw(0)?.type_info().name().to_string();
    Ok(match kind.as_str() {
        "INTEGER" => json!(row.try_get_unchecked::<i64, _>(0)?),
        "TEXT" => json!(row.try_get_unchecked::<String, _>(0)?),
        _ => json!(null),
    })
}

async fn write(db: &SqlitePool, number: u32) -> serde_json::Value {
    let (mut failed, mut why) = (0, String::new());
    for at in 0..number {
        let text = format!("row {at} ").repeat(20);
        if let Err(error) = sqlx::query("INSERT INTO item(body) VALUES(?)").bind(text).execute(db).await {
            failed += 1;
            if why.is_empty() {
                why = error.to_string();
            }
        }
    }
    json!({"failed": failed, "why": why})
}

async fn answer(db: &mut Option<SqlitePool>, command: &str, rest: &str) -> Result<serde_json::Value, Failure> {
    if command == "open" {
        *db = Some(SqlitePool::connect_with(SqliteConnectOptions::new().filename(rest).create_if_missing(true)).await?);
        return Ok(json!({}));
    }
    let open = db.as_ref().ok_or("no database is open")?;
    match command {
        "value" => Ok(json!({"value": value(open, rest).await?})),
        "write" => Ok(write(open, rest.parse()?).await),
        _ => {
            open.close().await;
            *db = None;
            Ok(json!({}))
        }
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut db = None;
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let (command, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let said = runtime.block_on(answer(&mut db, command, rest)).unwrap_or_else(|error| json!({"error": error.to_string()}));
        println!("{said}");
        std::io::stdout().flush().unwrap();
    }
}
