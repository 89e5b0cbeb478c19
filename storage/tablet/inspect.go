package tablet

import (
	"cmp"
	"errors"
	"io/fs"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/millrace/millrace/catalog"
	catstore "github.com/millrace/millrace/catalog/store"
	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/segment"
)

// TableUsage says where a table's bytes are on disk.
type TableUsage struct {
	OID    uint32
	Binlog bool // of the table's binlog
	// Schema and Name are empty when the catalog's files do not have the table yet.
	Schema, Name  string
	Files         int
	Settled       int // files that have their lasting form
	Rows          int
	Bytes         int64
	Columns       []ColumnUsage // by bytes, largest first
	KeyIndex      int64
	Sample, Frame int64 // Frame: footers and padding
	Deletes       int64
}

// ColumnUsage is what one form of encoding takes of a column.
type ColumnUsage struct {
	Name string // "" for one that was dropped or is unknown
	segment.Usage
}

// Inspect reads a data directory's manifest and segments, and nothing of the log.
// It changes nothing, and a server may be running on the directory: what the server
// removes meanwhile is left out.
func Inspect(dir blob.Dir) ([]TableUsage, error) {
	b, err := blob.ReadAll(dir, manifestName)
	if err != nil {
		return nil, err
	}
	m := &manifest{state: manifestState{}}
	if err := m.read(b); err != nil {
		return nil, err
	}
	data, err := dir.Sub("data")
	if err != nil {
		return nil, err
	}
	version := inspectCatalog(dir)
	var out []TableUsage
	for id, st := range m.state {
		if st.gen == dropped {
			continue
		}
		t := TableUsage{OID: id.oid, Binlog: id.log}
		var def *catalog.Table
		if version != nil {
			if def = version.Table(id.oid); def != nil {
				if id.log {
					def = def.Binlog()
				}
				t.Name = def.Name
				if s := version.Schema(def.Schema); s != nil {
					t.Schema = s.Name
				}
			}
		}
		for _, sh := range st.shards {
			if sh.Deletes != "" {
				if f, err := data.Open(sh.Deletes); err == nil {
					t.Deletes += f.Size()
					f.Close()
				}
			}
			for _, info := range sh.Segments {
				err := t.add(data, info.File, def)
				if errors.Is(err, fs.ErrNotExist) {
					continue
				}
				if err != nil {
					return nil, err
				}
				if info.Settled {
					t.Settled++
				}
			}
		}
		t.Bytes += t.Deletes
		slices.SortFunc(t.Columns, func(a, b ColumnUsage) int { return cmp.Compare(b.Bytes, a.Bytes) })
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b TableUsage) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.OID, b.OID))
	})
	return out, nil
}

// add counts a segment.
func (t *TableUsage) add(data blob.Dir, name string, def *catalog.Table) error {
	f, err := data.Open(name)
	if err != nil {
		return err
	}
	r, err := segment.OpenNamed(name, f, f.Size())
	if err != nil {
		f.Close()
		return err
	}
	defer r.Close()
	var cols []segment.Usage
	var index, sample, frame int64
	err = r.Guard(func() (err error) {
		cols, index, sample, frame, err = r.Usages()
		return err
	})
	if err != nil {
		return err
	}
	t.Files++
	t.Rows += r.Rows()
	t.Bytes += r.Size()
	t.KeyIndex += index
	t.Sample += sample
	t.Frame += frame
	for _, u := range cols {
		i := slices.IndexFunc(t.Columns, func(c ColumnUsage) bool { return c.Column.ID == u.Column.ID && c.Form == u.Form })
		if i < 0 {
			t.Columns = append(t.Columns, ColumnUsage{columnName(def, u.Column.ID), u})
			continue
		}
		c := &t.Columns[i]
		c.Blocks, c.Rows, c.Bytes, c.Raw = c.Blocks+u.Blocks, c.Rows+u.Rows, c.Bytes+u.Bytes, c.Raw+u.Raw
	}
	return nil
}

func columnName(def *catalog.Table, id int32) string {
	switch id {
	case segment.CSNColumn:
		return "(commit)"
	case segment.RowIDColumn:
		return "(row id)"
	}
	if def != nil {
		for i := range def.Columns {
			if int32(def.Columns[i].ID) == id {
				return def.Columns[i].Name
			}
		}
	}
	return ""
}

// inspectCatalog reads the catalog as far as it is in files; nil when it cannot be
// read, since names are only a courtesy.
func inspectCatalog(dir blob.Dir) *catalog.Version {
	sub, err := dir.Sub("catalog")
	if err != nil {
		return nil
	}
	db, err := pebble.Open("", &pebble.Options{FS: pebbleFS{dir: sub}, ReadOnly: true, DisableWAL: true,
		FormatMajorVersion: pebble.FormatVirtualSSTables, Logger: silent{}})
	if err != nil {
		return nil
	}
	defer db.Close()
	v, found, err := catstore.Load(db)
	if err != nil || !found {
		return nil
	}
	return v
}

// silent is a logger for a reader of what another process writes.
type silent struct{}

func (silent) Infof(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
func (silent) Fatalf(string, ...any) {}
