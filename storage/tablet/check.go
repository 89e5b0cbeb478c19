package tablet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/sstable/colblk"

	catstore "github.com/millrace/millrace/catalog/store"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/column"
	"github.com/millrace/millrace/storage/segment"
	"github.com/millrace/millrace/storage/wal"
)

// Checked is what Check has read.
type Checked struct {
	Segments, Records int
	Rows, Bytes       int64
	// Torn is the length of an unfinished record at the log's end, which a start of
	// the server cuts off: no acknowledged commit is in it.
	Torn int64
	// Orphans are files that nothing names; the next start removes them.
	Orphans int
}

// Check reads every byte of a data directory that no server uses: manifest, segments,
// deletes, catalog and log. It tells problem what is damaged or missing, goes on where
// it can, and changes nothing. An error means that the check itself was impossible.
func Check(dir blob.Dir, problem func(error)) (c Checked, err error) {
	if l, ok := dir.(*blob.Local); ok {
		lock, err := l.Lock(lockName)
		if err != nil {
			return c, fmt.Errorf("a server uses the directory; stop it first: %w", err)
		}
		defer lock.Close()
	}
	format, err := blob.ReadAll(dir, formatName)
	if err != nil {
		return c, err
	}
	if string(format) != formatText {
		return c, fmt.Errorf("the data directory has another format: %q", strings.TrimSpace(string(format)))
	}
	sub := map[string]blob.Dir{}
	for _, name := range []string{"data", "catalog", "log"} {
		if sub[name], err = dir.Sub(name); err != nil {
			return c, err
		}
	}
	named := map[string]bool{}
	var relies storage.CSN
	m := &manifest{state: manifestState{}}
	b, err := blob.ReadAll(dir, manifestName)
	if err == nil {
		err = m.read(b)
	}
	if err != nil {
		problem(err)
	} else {
		relies = m.state.covered()
		c.tablets(sub["data"], m.state, named, problem)
	}
	inPebble, err := checkPebble(sub["catalog"])
	if err != nil {
		problem(err)
		inPebble = 0
	}
	relies = max(relies, inPebble)
	c.log(sub["log"], sub["data"], m.state, relies, inPebble, named, problem)
	infos, err := sub["data"].List()
	if err != nil {
		return c, err
	}
	for _, in := range infos {
		if !in.Dir && !named[in.Name] {
			c.Orphans++
		}
	}
	return c, nil
}

// tablets checks what the manifest names.
func (c *Checked) tablets(data blob.Dir, state manifestState, named map[string]bool, problem func(error)) {
	for id, st := range state {
		if st.gen == dropped {
			continue
		}
		for _, sh := range st.shards {
			if sh.Deletes != "" {
				named[sh.Deletes] = true
				if err := column.CheckDeletes(data, sh.Deletes, sh.Segments); err != nil {
					problem(inTable(id, sh.Deletes, err))
				}
			}
			for _, info := range sh.Segments {
				named[info.File] = true
				if err := checkSegment(data, info); err != nil {
					problem(inTable(id, info.File, err))
				}
				c.Segments++
				c.Rows += int64(info.Rows)
				c.Bytes += info.Size
			}
		}
	}
}

func inTable(id tabletsOf, file string, err error) error {
	what := "table"
	if id.log {
		what = "binlog of table"
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s %d: file %s is missing", what, id.oid, file)
	}
	return fmt.Errorf("%s %d: %w", what, id.oid, err)
}

func checkSegment(data blob.Dir, info column.SegmentInfo) error {
	f, err := data.Open(info.File)
	if err != nil {
		return err
	}
	if f.Size() != info.Size {
		f.Close()
		return fmt.Errorf("%s has %d bytes, the manifest says %d", info.File, f.Size(), info.Size)
	}
	r, err := segment.OpenNamed(info.File, f, info.Size)
	if err != nil {
		f.Close()
		return err
	}
	defer r.Close()
	if r.Rows() != info.Rows {
		return fmt.Errorf("%s has %d rows, the manifest says %d", info.File, r.Rows(), info.Rows)
	}
	return r.Guard(r.Verify)
}

// checkRowFile reads a file that the row store has not taken in yet, or may forget.
func checkRowFile(data blob.Dir, f *wal.RowFile) error {
	in, err := pebbleFS{data: data}.Open(dataPrefix + f.Name)
	if err != nil {
		return err
	}
	readable, err := sstable.NewSimpleReadable(in)
	if err != nil {
		in.Close()
		return err
	}
	r, err := sstable.NewReader(context.Background(), readable, sstable.ReaderOptions{KeySchemas: sstable.MakeKeySchemas(&pebbleKeys)})
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", f.Name, err), readable.Close())
	}
	defer r.Close()
	if err := r.ValidateBlockChecksums(); err != nil {
		return fmt.Errorf("%s: %w", f.Name, err)
	}
	return nil
}

// pebbleKeys is how Pebble's files lay out keys, as it does by default.
var pebbleKeys = colblk.DefaultKeySchema(pebble.DefaultComparer, 16)

// checkPebble reads all keys of the catalog, whose blocks have checksums, and its
// objects. It returns the commit that it covers.
func checkPebble(dir blob.Dir) (storage.CSN, error) {
	db, err := pebble.Open("", &pebble.Options{FS: pebbleFS{dir: dir}, ReadOnly: true, DisableWAL: true,
		FormatMajorVersion: pebble.FormatVirtualSSTables, Logger: silent{}})
	if err != nil {
		return 0, fmt.Errorf("catalog: %w", err)
	}
	defer db.Close()
	it, err := db.NewIter(nil)
	if err != nil {
		return 0, fmt.Errorf("catalog: %w", err)
	}
	for it.First(); it.Valid(); it.Next() {
		if _, err := it.ValueAndErr(); err != nil {
			break
		}
	}
	if err := it.Close(); err != nil {
		return 0, fmt.Errorf("catalog: %w", err)
	}
	if _, _, err := catstore.Load(db); err != nil {
		return 0, fmt.Errorf("catalog: %w", err)
	}
	return covered(db)
}

// log reads all records, and the files of large commits that they name and the
// manifest does not have yet.
func (c *Checked) log(dir, data blob.Dir, state manifestState, relies, inPebble storage.CSN, named map[string]bool, problem func(error)) {
	l, err := wal.Open(wal.Options{Dir: dir})
	if err != nil {
		problem(err)
		return
	}
	tail, err := l.Check(relies, func(e *wal.Entry) error {
		c.Records++
		side := func(log bool) func(f *wal.SideFile) error {
			return func(f *wal.SideFile) error {
				id := tabletsOf{f.Table, log}
				taken := false // the tablet's files have what the record says, in one form or another
				if st := state[id]; st != nil {
					sh := st.shards[f.Shard]
					taken = st.gen == dropped || e.CSN <= st.f || sh != nil && e.CSN <= sh.F
				}
				if taken {
					return nil
				}
				if f.Name != "" && !named[f.Name] {
					named[f.Name] = true
					if err := checkSegment(data, column.SegmentInfo{File: f.Name, Size: f.Size, Rows: int(f.Rows)}); err != nil {
						problem(inTable(id, f.Name, err))
					}
					c.Segments++
					c.Rows += int64(f.Rows)
					c.Bytes += f.Size
				}
				if f.Deletes != "" {
					named[f.Deletes] = true
				}
				return nil
			}
		}
		rows := func(f *wal.RowFile) error {
			if e.CSN <= inPebble {
				return nil
			}
			named[f.Name] = true
			if err := checkRowFile(data, f); err != nil {
				problem(inTable(tabletsOf{oid: f.Table}, f.Name, err))
			}
			c.Bytes += f.Size
			return nil
		}
		if err := wal.Decode(e.Payload(), &wal.Visitor{File: side(false), LogFile: side(true), KeysFile: side(false), RowFile: rows}); err != nil {
			return fmt.Errorf("log record of commit %d: %w", e.CSN, err)
		}
		return nil
	})
	if err != nil {
		problem(err)
	}
	c.Torn = tail.Cut
}
