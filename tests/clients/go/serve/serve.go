// Package serve is the protocol of a client: see ../../python/protocol.py.
package serve

import (
	"bufio"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
)

type Client interface {
	Open(path string) error
	Value(sql string) (any, error)
	Write(text string) error
	Close() error
}

func answer(client Client, command, rest string) (map[string]any, error) {
	switch command {
	case "open":
		return map[string]any{}, client.Open(rest)
	case "value":
		value, err := client.Value(rest)
		if text, ok := value.([]byte); ok {
			value = string(text)
		}
		return map[string]any{"value": value}, err
	case "write":
		number, err := strconv.Atoi(rest)
		failed, why := 0, ""
		for at := 0; at < number; at++ {
			if err := client.Write(strings.Repeat(fmt.Sprintf("row %d ", at), 20)); err != nil {
				failed++
				if why == "" {
					why = err.Error()
				}
			}
		}
		return map[string]any{"failed": failed, "why": why}, err
	case "close":
		return map[string]any{}, client.Close()
	}
	return nil, fmt.Errorf("unknown command %q", command)
}

func Serve(client Client) {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		command, rest, _ := strings.Cut(lines.Text(), " ")
		said, err := answer(client, command, rest)
		if err != nil {
			said = map[string]any{"error": err.Error()}
		}
		json.NewEncoder(os.Stdout).Encode(said)
	}
}

// Driver is a client of database/sql.
type Driver struct {
	Name string
	db   *sql.DB
}

func (d *Driver) Open(path string) (err error) {
	d.db, err = sql.Open(d.Name, path)
	return err
}

func (d *Driver) Value(statement string) (any, error) { return First(d.db.Query(statement)) }

// First returns the first column of the first row, or nil.
func First(rows *sql.Rows, err error) (value any, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	if rows.Next() {
		columns, _ := rows.Columns()
		values := make([]any, len(columns))
		into := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		err = rows.Scan(into...)
		value = values[0]
	}
	if err == nil {
		err = rows.Err()
	}
	return value, err
}

func (d *Driver) Write(text string) error {
	_, err := d.db.Exec("INSERT INTO item(body) VALUES(?)", text)
	return err
}

func (d *Driver) Close() error { return d.db.Close() }
