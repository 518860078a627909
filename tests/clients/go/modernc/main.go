// database/sql with the driver of modernc.org/sqlite.
package main

import (
	"clients/serve"

	_ "modernc.org/sqlite"
)

func main() { serve.Serve(&serve.Driver{Name: "sqlite"}) }
