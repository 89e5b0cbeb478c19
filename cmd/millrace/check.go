package main

import (
	"fmt"

	"github.com/millrace/millrace/storage/tablet"
)

type checkCmd struct {
	DataDir string `help:"Directory of the data, ./data by default." default:"./data" placeholder:"DIR"`
}

// Run reads every byte of a data directory that no server uses, and fails when
// something in it is damaged.
func (c *checkCmd) Run() error {
	dir, err := openStore(c.DataDir)
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
	fmt.Printf("%d segments of %d rows and %s, %d log records\n", got.Segments, got.Rows, size(got.Bytes), got.Records)
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
