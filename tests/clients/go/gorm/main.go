// GORM with gorm.io/driver/sqlite, which uses github.com/mattn/go-sqlite3.
package main

import (
	"clients/serve"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
)

type item struct {
	ID   int64
	Body string
}

func (item) TableName() string { return "item" }

type client struct{ db *gorm.DB }

func (c *client) Open(path string) (err error) {
	c.db, err = gorm.Open(sqlite.Open(path), &gorm.Config{})
	return err
}

func (c *client) Value(statement string) (any, error) { return serve.First(c.db.Raw(statement).Rows()) }

func (c *client) Write(text string) error { return c.db.Create(&item{Body: text}).Error }

func (c *client) Close() error {
	db, err := c.db.DB()
	if err != nil {
		return err
	}
	return db.Close()
}

func main() { serve.Serve(&client{}) }
