package column

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/vec"
)

// The deletes file has the deleted rows of a tablet's segments at a checkpoint.
// FORMAT.md draws it.
const (
	deletesMagic   = "MILLDEL"
	deletesVersion = 1
	deletesHead    = 8 + 8 + 4
	// deleteCSNs flags a segment whose entries are followed by the commit of each.
	deleteCSNs = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// segDeletes are the deleted rows of one segment.
type segDeletes struct {
	file string
	rows int
	dead mask
}

// encodeDeletes makes the bytes of a deletes file.
func encodeDeletes(f storage.CSN, segs []segDeletes) ([]byte, error) {
	b := append([]byte(deletesMagic), deletesVersion)
	b = binary.LittleEndian.AppendUint64(b, uint64(f))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(segs)))
	for _, s := range segs {
		bm := roaring.New()
		for i, blk := range s.dead {
			if blk == nil {
				continue
			}
			// A block of a mask is a container.
			one := roaring.FromDense(blk[:], true)
			if i > 0 {
				one = roaring.AddOffset(one, uint32(i*vec.BlockRows))
			}
			bm.Or(one)
		}
		bm.RunOptimize()
		data, err := bm.ToBytes()
		if err != nil {
			return nil, err
		}
		b = binary.LittleEndian.AppendUint32(b, uint32(s.rows))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
		b = binary.LittleEndian.AppendUint16(b, uint16(len(s.file)))
		b = append(b, 0, 0) // flags, zero
		b = append(b, s.file...)
		b = append(b, data...)
	}
	return sealDeletes(b), nil
}

func sealDeletes(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// decodeDeletes is the inverse of encodeDeletes, for bytes of any origin.
func decodeDeletes(name string, b []byte) (f storage.CSN, segs []segDeletes, err error) {
	corrupt := func(at int, what string) error {
		return sqlstate.Errorf(sqlstate.DataCorrupted, "deletes file %s is corrupt at offset %d: %s", name, at, what)
	}
	if len(b) < deletesHead+4 || string(b[:7]) != deletesMagic {
		return 0, nil, corrupt(0, "not a deletes file")
	}
	if b[7] != deletesVersion {
		return 0, nil, corrupt(7, fmt.Sprintf("format version %d is not known", b[7]))
	}
	body := b[:len(b)-4]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(b[len(body):]) {
		return 0, nil, corrupt(len(body), "checksum")
	}
	f = storage.CSN(binary.LittleEndian.Uint64(body[8:]))
	n := binary.LittleEndian.Uint32(body[16:])
	at := deletesHead
	for ; n > 0; n-- {
		if len(body)-at < 12 {
			return 0, nil, corrupt(at, "entry cut short")
		}
		h := body[at:]
		rows, size := binary.LittleEndian.Uint32(h), binary.LittleEndian.Uint32(h[4:])
		nameLen, flags := int(binary.LittleEndian.Uint16(h[8:])), h[10]
		at += 12
		if rows > vec.SegmentRows || uint64(size)+uint64(nameLen) > uint64(len(body)-at) {
			return 0, nil, corrupt(at, "entry cut short")
		}
		file := string(body[at : at+nameLen])
		at += nameLen
		bm := roaring.New()
		if err := bm.UnmarshalBinary(body[at : at+int(size)]); err != nil {
			return 0, nil, corrupt(at, err.Error())
		}
		at += int(size)
		if flags&deleteCSNs != 0 {
			// Commits of the entries are for readers of the past; there are none here.
			k := 8 * bm.GetCardinality()
			if k > uint64(len(body)-at) {
				return 0, nil, corrupt(at, "commits cut short")
			}
			at += int(k)
		}
		e := editMask(nil, int(rows+vec.BlockRows-1)/vec.BlockRows)
		for it := bm.Iterator(); it.HasNext(); {
			r := it.Next() // in no order when the bitmap is malformed
			if r >= rows {
				return 0, nil, corrupt(at, "row beyond the segment")
			}
			e.set(r)
		}
		segs = append(segs, segDeletes{file, int(rows), e.m})
	}
	if at != len(body) {
		return 0, nil, corrupt(at, "bytes after the last entry")
	}
	return f, segs, nil
}

// readDeletes reads a deletes file as masks by segment file.
func readDeletes(files blob.Dir, name string) (map[string]mask, error) {
	b, err := blob.ReadAll(files, name)
	if err != nil {
		return nil, err
	}
	_, segs, err := decodeDeletes(name, b)
	if err != nil {
		return nil, err
	}
	m := make(map[string]mask, len(segs))
	for _, s := range segs {
		m[s.file] = s.dead
	}
	return m, nil
}

// CheckDeletes reads a deletes file whole: its checksum, its form, and that it is
// about segments of the list alone.
func CheckDeletes(files blob.Dir, name string, segments []SegmentInfo) error {
	m, err := readDeletes(files, name)
	if err != nil {
		return err
	}
	for file, dead := range m {
		i := slices.IndexFunc(segments, func(s SegmentInfo) bool { return s.File == file })
		if i < 0 {
			return fmt.Errorf("%s has deletes of %s, which is no segment of the tablet", name, file)
		}
		if n := dead.count(); n > segments[i].Rows {
			return fmt.Errorf("%s has %d deletes of %s, which has %d rows", name, n, file, segments[i].Rows)
		}
	}
	return nil
}

// writeDeletes writes the deletes of the segments that have any, and names the
// file; "" when there is nothing to write.
func (t *Tablet) writeDeletes(f storage.CSN, segs []segDeletes) (string, error) {
	var some []segDeletes
	for _, s := range segs {
		if s.dead.count() > 0 {
			some = append(some, s)
		}
	}
	if len(some) == 0 {
		return "", nil
	}
	b, err := encodeDeletes(f, some)
	if err != nil {
		return "", err
	}
	if t.cfg.Written != nil {
		t.cfg.Written.Deletes.Add(int64(len(b)))
	}
	name := t.cfg.NextFile() + DeletesSuffix
	return name, blob.WriteFile(t.cfg.Files, name, b)
}
