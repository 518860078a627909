// database/sql with the driver of github.com/ncruces/go-sqlite3/driver.
package main

import (
	"clients/serve"

	_ "github.com/ncruces/go-sqlite3/driver"
)

func main() { serve.Serve(&serve.Driver{Name: "sqlite3"}) }
