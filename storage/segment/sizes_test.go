package segment

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/segment/encoding"
	"github.com/millrace/millrace/storage/vec"
)

// TestSizes measures real tables, when told where they are:
//
//	SIZES_SCHEMA=…/tpch.holo.sql SIZES_DATA=…/tpch-1 go test -run TestSizes -v ./storage/segment
//
// SIZES_TABLE picks one, SIZES_CODEC is 0, 1 or 2.
func TestSizes(t *testing.T) {
	schema, dir := os.Getenv("SIZES_SCHEMA"), os.Getenv("SIZES_DATA")
	if schema == "" || dir == "" {
		t.Skip("SIZES_SCHEMA and SIZES_DATA are not set")
	}
	sql, err := os.ReadFile(schema)
	if err != nil {
		t.Fatal(err)
	}
	codec, _ := strconv.Atoi(os.Getenv("SIZES_CODEC"))
	total := int64(0)
	for _, m := range regexp.MustCompile(`(?s)CREATE TABLE (\w+) \((.*?)\)\s*WITH \((.*?)\);`).FindAllStringSubmatch(string(sql), -1) {
		if only := os.Getenv("SIZES_TABLE"); only != "" && only != m[1] {
			continue
		}
		var s Schema
		ids := map[string]int32{}
		for _, line := range strings.Split(m[2], "\n") {
			f := strings.Fields(strings.ToLower(line))
			if len(f) < 2 {
				continue
			}
			if f[0] == "primary" {
				for _, k := range strings.Split(line[strings.Index(line, "(")+1:strings.LastIndex(line, ")")], ",") {
					s.Key = append(s.Key, ids[strings.ToLower(strings.TrimSpace(strings.Trim(k, "() ")))])
				}
				continue
			}
			ty, ok := map[string]types.T{"bigint": types.Int8, "int": types.Int4, "integer": types.Int4, "smallint": types.Int2,
				"text": types.Text, "date": types.Date, "timestamp": types.Timestamp, "decimal(15,2)": types.Decimal(15, 2)}[strings.TrimSuffix(f[1], ",")]
			if !ok {
				t.Fatalf("type of %q", line)
			}
			id := int32(len(s.Columns) + 1)
			ids[f[0]] = id
			s.Columns = append(s.Columns, Column{id, ty})
			if strings.Contains(strings.ToLower(line), "primary key") {
				s.Key = []int32{id}
			}
		}
		if c := regexp.MustCompile(`clustering_key='(.*?)'`).FindStringSubmatch(m[3]); c != nil {
			for _, k := range strings.Split(c[1], ",") {
				s.Sort = append(s.Sort, SortColumn{ID: ids[k]})
			}
		}
		files, _ := filepath.Glob(filepath.Join(dir, m[1]+".t*"))
		if len(files) != 1 {
			continue
		}
		total += measure(t, m[1], files[0], s, ids, encoding.Codec(codec))
	}
	t.Logf("total %d bytes", total)
}

func measure(t *testing.T, name, file string, s Schema, ids map[string]int32, codec encoding.Codec) int64 {
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sep := byte('|')
	if strings.HasSuffix(file, ".tsv") {
		sep = '\t'
	}
	ts := make([]types.T, len(s.Columns))
	for i, c := range s.Columns {
		ts[i] = c.T
	}
	sizes := make([]int64, len(s.Columns)+1)
	var total, index, other int64
	rows := 0
	var spent, scanned time.Duration
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	done := false
	for !done {
		b := vec.NewBatch(ts)
		for b.N < RowsMax {
			if !sc.Scan() {
				done = true
				break
			}
			line := sc.Bytes()
			for _, c := range b.Cols {
				var field []byte
				if k := bytes.IndexByte(line, sep); k >= 0 {
					field, line = line[:k], line[k+1:]
				} else {
					field, line = line, nil
				}
				c.N = b.N
				put(c, field)
			}
			b.N++
		}
		if b.N == 0 {
			break
		}
		order := make([]int, b.N)
		for i := range order {
			order[i] = i
		}
		sort.SliceStable(order, func(x, y int) bool {
			for _, k := range s.Sort {
				v := b.Cols[k.ID-1]
				p, q := v.Datum(order[x]).I, v.Datum(order[y]).I
				if p != q {
					return p < q
				}
			}
			return false
		})
		var out bytes.Buffer
		start := time.Now()
		w := NewWriter(&out, s, Options{Codec: codec})
		part := vec.NewBatch(ts)
		csns := make([]uint64, vec.Size)
		for i := range csns {
			csns[i] = 77
		}
		copied := time.Duration(0)
		for at := 0; at < b.N; at += vec.Size {
			c0 := time.Now()
			part.Reset()
			n := min(vec.Size, b.N-at)
			for i, c := range part.Cols {
				for _, r := range order[at : at+n] {
					if c.T.Layout == types.LayoutView {
						c.AppendBytes(b.Cols[i].Bytes(r))
					} else {
						c.AppendDatum(b.Cols[i].Datum(r))
					}
				}
			}
			part.N = n
			copied += time.Since(c0)
			if err := w.Append(part, csns[:n]); err != nil {
				t.Fatal(err)
			}
		}
		meta, err := w.Finish()
		if err != nil {
			t.Fatal(err)
		}
		spent += time.Since(start) - copied
		rows += meta.Rows
		total += meta.Bytes
		known := int64(0)
		for i := range meta.Columns {
			sizes[i] += meta.Columns[i].Bytes
			known += meta.Columns[i].Bytes
		}
		r, err := Open(newMem(out.Bytes(), true), meta.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		index += int64(r.foot.index.len)
		other += meta.Bytes - known - int64(r.foot.index.len)
		start = time.Now()
		if err := scanAll(r, nil); err != nil {
			t.Fatal(err)
		}
		scanned += time.Since(start)
		if os.Getenv("SIZES_VERBOSE") != "" {
			names := make([]string, len(ts))
			for n, id := range ids {
				names[id-1] = n
			}
			for i, c := range s.Columns {
				cr, _ := r.Column(c.ID)
				e, _, _ := cr.Encoding(0)
				start := time.Now()
				scanAll(r, []int32{c.ID})
				t.Logf("  %-22s %-8v %9d bytes %6.2f bits a row, scan %5.2f ns a row", names[i], e, meta.Columns[i].Bytes,
					float64(meta.Columns[i].Bytes*8)/float64(meta.Rows), float64(time.Since(start))/float64(meta.Rows))
			}
			break
		}
	}
	t.Logf("%-9s %8d rows %10d bytes (%.1f a row; index %d, footer and sample %d), written at %.0f k rows/s, read at %.1f M rows/s", name, rows, total,
		float64(total)/float64(rows), index, other, float64(rows)/spent.Seconds()/1e3, float64(rows)/scanned.Seconds()/1e6)
	return total
}

// scanAll decodes every vector of the columns.
func scanAll(r *Reader, ids []int32) error {
	if ids == nil {
		for _, c := range r.Columns() {
			ids = append(ids, c.ID)
		}
	}
	var v vec.Vec
	for _, id := range ids {
		cr, _ := r.Column(id)
		for vi := range r.Vectors() {
			if err := cr.Vector(vi, &v); err != nil {
				return err
			}
		}
	}
	return nil
}

// put appends a field of the benchmark's files.
func put(v *vec.Vec, f []byte) {
	switch {
	case v.T.Layout == types.LayoutView:
		v.AppendBytes(f)
	case v.T == types.Date:
		d, err := time.Parse("2006-01-02", string(f))
		if err != nil {
			panic(err)
		}
		v.AppendDatum(types.NewInt(d.Unix()/86400 - 10957))
	case v.T == types.Timestamp:
		d, err := time.Parse("2006-01-02 15:04:05", string(f))
		if err != nil {
			panic(err)
		}
		v.AppendDatum(types.NewInt((d.Unix() - 946684800) * 1e6))
	default:
		x, err := strconv.ParseInt(strings.Replace(string(f), ".", "", 1), 10, 64)
		if err != nil {
			panic(fmt.Sprintf("%q: %v", f, err))
		}
		v.AppendDatum(types.NewInt(x))
	}
}
