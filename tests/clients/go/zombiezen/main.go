// zombiezen.com/go/sqlite, with the defaults of OpenConn.
package main

import (
	"clients/serve"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

type client struct{ conn *sqlite.Conn }

func (c *client) Open(path string) (err error) {
	c.conn, err = sqlite.OpenConn(path)
	return err
}

func (c *client) Value(statement string) (value any, err error) {
	err = sqlitex.ExecuteTransient(c.conn, statement, &sqlitex.ExecOptions{ResultFunc: func(row *sqlite.Stmt) error {
		if value != nil {
			return nil
		}
		switch row.ColumnType(0) {
		case sqlite.TypeInteger:
			value = row.ColumnInt64(0)
		case sqlite.TypeText:
			value = row.ColumnText(0)
		}
		return nil
	}})
	return value, err
}

func (c *client) Write(text string) error {
	return sqlitex.Execute(c.conn, "INSERT INTO item(body) VALUES(?)", &sqlitex.ExecOptions{Args: []any{text}})
}

func (c *client) Close() error { return c.conn.Close() }

func main() { serve.Serve(&client{}) }
