//! rusqlite with its bundled SQLite. The protocol is that of ../../../python/protocol.py.
use rusqlite::{types::Value, Connection};
use serde_json::json;
use std::io::{BufRead, Write};

type Failure = Box<dyn std::error::Error>;

fn value(db: &Connection, sql: &str) -> Result<serde_json::Value, Failure> {
    let mut statement = db.prepare(sql)?;
    let mut rows = statement.query([])?;
    let Some(row) = rows.next()? else { return Ok(json!(null)) };
    Ok(match row.get::<_, Value>(0)? {
        Value::Integer(number) => json!(number),
        Value::Text(text) => json!(text),
        _ => json!(null),
    })
}

fn write(db: &Connection, number: u32) -> serde_json::Value {
    let (mut failed, mut why) = (0, String::new());
    for at in 0..number {
        let text = format!("row {at} ").repeat(20);
        if let Err(error) = db.execute("INSERT INTO item(body) VALUES(?1)", [text]) {
            failed += 1;
            if why.is_empty() {
                why = error.to_string();
            }
        }
    }
    json!({"failed": failed, "why": why})
}

fn answer(db: &mut Option<Connection>, command: &str, rest: &str) -> Result<serde_json::Value, Failure> {
    if command == "open" {
        *db = Some(Connection::open(rest)?);
        return Ok(json!({}));
    }
    let open = db.as_ref().ok_or("no database is open")?;
    match command {
        "value" => Ok(json!({"value": value(open, rest)?})),
        "write" => Ok(write(open, rest.parse()?)),
        _ => {
            *db = None;
            Ok(json!({}))
        }
    }
}

fn main() {
    let mut db = None;
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let (command, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let said = answer(&mut db, command, rest).unwrap_or_else(|error| json!({"error": error.to_string()}));
        println!("{said}");
        std::io::stdout().flush().unwrap();
    }
}
