package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/tablet"
)

type inspectCmd struct {
	DataDir string `help:"Directory of the data, ./data by default." default:"./data" placeholder:"DIR"`
	Table   string `arg:"" optional:"" help:"Show only this table, with all its columns."`
}

// Run prints where the bytes of the tables' files are. It only reads, and the
// server may be running.
func (c *inspectCmd) Run() error {
	dir, err := openStore(c.DataDir)
	if err != nil {
		return err
	}
	tables, err := tablet.Inspect(dir)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	found := false
	for _, t := range tables {
		name := t.Schema + "." + t.Name
		if t.Name == "" {
			name = fmt.Sprintf("table %d", t.OID)
		}
		if t.Binlog {
			name += " (binlog)"
		}
		if c.Table != "" && c.Table != t.Name && c.Table != name || t.Files == 0 {
			continue
		}
		found = true
		fmt.Fprintf(w, "%s\t%s\t%d rows\t%d files, %d settled\n", name, size(t.Bytes), t.Rows, t.Files, t.Settled)
		rest := t.Bytes
		for i, u := range t.Columns {
			if c.Table == "" && (i >= 10 || u.Bytes*100 < t.Bytes) {
				break
			}
			name, raw := u.Name, ""
			if name == "" {
				name = fmt.Sprintf("column %d", u.Column.ID)
			}
			if u.Raw > 0 {
				raw = "of " + size(u.Raw)
			}
			fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%.2f bytes a row\n", name, size(u.Bytes), u.Form, raw, float64(u.Bytes)/float64(max(u.Rows, 1)))
			rest -= u.Bytes
		}
		for _, x := range []struct {
			name  string
			bytes int64
		}{{"(key index)", t.KeyIndex}, {"(samples)", t.Sample}, {"(footers)", t.Frame}, {"(deletes)", t.Deletes}} {
			if x.bytes > 0 {
				fmt.Fprintf(w, "  %s\t%s\n", x.name, size(x.bytes))
				rest -= x.bytes
			}
		}
		if rest > 0 && c.Table == "" {
			fmt.Fprintf(w, "  (other columns)\t%s\n", size(rest))
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if c.Table != "" && !found {
		return fmt.Errorf("no table %q has files in %s", c.Table, filepath.Join(c.DataDir, "store"))
	}
	return nil
}

func size(n int64) string {
	if n < 1e6 {
		return fmt.Sprintf("%.2f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%.2f MB", float64(n)/1e6)
}

// openStore is the files of a data directory that there is already.
func openStore(dataDir string) (*blob.Local, error) {
	path := filepath.Join(dataDir, "store")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is no data directory: it has no store", dataDir)
	} else if err != nil {
		return nil, err
	}
	return blob.OpenLocal(path)
}
