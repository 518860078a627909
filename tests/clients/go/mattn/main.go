// database/sql with the driver of github.com/mattn/go-sqlite3.
package main

import (
	"clients/serve"

	_ "github.com/mattn/go-sqlite3"
)

func main() { serve.Serve(&serve.Driver{Name: "sqlite3"}) }
