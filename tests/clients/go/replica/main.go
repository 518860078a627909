// A replica that github.com/mattn/go-sqlite3 reads through the extension: replica EXTENSION URI
package main

import (
	"database/sql"
	"fmt"
	"log"
	"os"

	"github.com/mattn/go-sqlite3"
)

func main() {
	sql.Register("with_seawall", &sqlite3.SQLiteDriver{Extensions: []string{os.Args[1]}})
	loader, err := sql.Open("with_seawall", ":memory:")
	if err != nil {
		log.Fatal(err)
	}
	if err := loader.Ping(); err != nil {
		log.Fatal(err)
	}
	read, err := sql.Open("with_seawall", os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	var txid, count, sum int64
	if err := read.QueryRow("SELECT seawall_txid(), count(*), sum(length(payload)) FROM item").Scan(&txid, &count, &sum); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d|%d|%d\n", txid, count, sum)
}
