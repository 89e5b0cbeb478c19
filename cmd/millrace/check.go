package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/tablet"
)

type checkCmd struct {
	DataDir string `help:"Directory of the data, ./data by default." default:"./data" placeholder:"DIR"`
}

// Run reads every byte of a data directory that no server uses, and fails when
// something in it is damaged.
func (c *checkCmd) Run() error {
	path := filepath.Join(c.DataDir, "store")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is no data directory: it has no store", c.DataDir)
	} else if err != nil {
		return err
	}
	dir, err := blob.OpenLocal(path)
	if err != nil {
		return err
	}
	problems := 0
	got, err := tablet.Check(dir, func(err error) {
		problems++
		fmt.Println("damaged:", err)
	})
	if err != nil {
		return err
	}
	fmt.Printf("%d tables, %d segments of %d rows and %s, %d log records\n", got.Tables, got.Segments, got.Rows, size(got.Bytes), got.Records)
	if got.Torn > 0 {
		fmt.Printf("%d bytes of an unfinished record at the log's end: the next start cuts them off\n", got.Torn)
	}
	if got.Orphans > 0 {
		fmt.Printf("%d files that nothing names: the next start removes them\n", got.Orphans)
	}
	if problems > 0 {
		return fmt.Errorf("%d problems found", problems)
	}
	fmt.Println("no damage found")
	return nil
}
