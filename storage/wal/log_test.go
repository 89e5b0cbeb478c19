package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"testing"

	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
)

var rewrite = flag.Bool("rewrite", false, "write golden files")

func entry(payload []byte, changes int) *Entry {
	return &Entry{Buf: append(make([]byte, Headroom), payload...), Changes: changes}
}

func open(t testing.TB, d blob.Dir, o Options) (*Log, [][]byte, Tail) {
	t.Helper()
	l, got, tail, err := tryOpen(d, o, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Start(tail.MaxNumber+1, tail.Time); err != nil {
		t.Fatal(err)
	}
	return l, got, tail
}

func tryOpen(d blob.Dir, o Options, covered storage.CSN) (*Log, [][]byte, Tail, error) {
	o.Dir = d
	if o.Clock == nil {
		o.Clock = func() int64 { return 42 }
	}
	l, err := Open(o)
	if err != nil {
		return nil, nil, Tail{}, err
	}
	var got [][]byte
	tail, err := l.Recover(covered, func(e *Entry) error {
		got = append(got, bytes.Clone(e.Payload()))
		return nil
	})
	return l, got, tail, err
}

func TestGroupCommit(t *testing.T) {
	m := blob.NewMem()
	var order []storage.CSN
	l, _, _ := open(t, m.Root(), Options{FileBytes: 4 << 10, OnDurable: func(es []*Entry) error {
		for _, e := range es {
			order = append(order, e.CSN)
		}
		return nil
	}})
	var wg sync.WaitGroup
	const writers, each = 8, 50
	for w := range writers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range each {
				e := entry(fmt.Appendf(nil, "writer %d record %d", w, i), i%3)
				if err := l.Append(e); err != nil {
					t.Error(err)
				}
				if err := l.Wait(e.CSN); err != nil {
					t.Error(err)
				}
				if l.Durable() < e.CSN {
					t.Error("Wait returned before the record was durable")
				}
			}
		}()
	}
	wg.Wait()
	for i := 1; i < len(order); i++ {
		if order[i] <= order[i-1] {
			t.Fatal("records became durable out of order")
		}
	}
	if len(order) != writers*each {
		t.Fatalf("%d records", len(order))
	}
	if n := len(l.Files()); n < 3 {
		t.Fatalf("%d files: no rotation", n)
	}
	mid := l.Files()[2].Start
	if err := l.Trim(storage.CSN(mid - 1)); err != nil {
		t.Fatal(err)
	}
	if f := l.Files()[0].Start; f != mid {
		t.Fatalf("trimmed to %d, want %d", f, mid)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l, got, tail := open(t, m.Crash(1).Root(), Options{})
	if tail.Last != order[len(order)-1] || len(got) == 0 {
		t.Fatalf("recovered %d records up to %d", len(got), tail.Last)
	}
	l.Close()
}

// TestTrimFails has trims fail half way, and run beside each other: the files left
// are always without a gap.
// TestRoom has a process end while its file has room left: nothing is lost, nothing
// counts as torn, and the file is cut to what was written.
func TestRoom(t *testing.T) {
	d, err := blob.OpenLocal(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	size := func(n uint64) int64 {
		b, err := blob.ReadAll(d, fileName(n))
		if err != nil {
			t.Fatal(err)
		}
		return int64(len(b))
	}
	l, _, _ := open(t, d, Options{})
	for i := range 5 {
		e := entry(record(i), 1)
		if err := l.Append(e); err != nil {
			t.Fatal(err)
		}
		if err := l.Wait(e.CSN); err != nil {
			t.Fatal(err)
		}
	}
	end := l.offset
	if size(1) != fileHeader+roomBytes {
		t.Fatalf("the file has %d bytes", size(1))
	}
	c, err := Open(Options{Dir: d})
	if err != nil {
		t.Fatal(err)
	}
	if tail, err := c.Check(0, func(*Entry) error { return nil }); err != nil || tail.Cut != 0 {
		t.Fatal(tail, err)
	}
	again, got, tail := open(t, d, Options{})
	if len(got) != 5 || tail.Cut != 0 || size(1) != end {
		t.Fatalf("%d records, %d bytes cut, %d bytes left of %d", len(got), tail.Cut, size(1), end)
	}
	e := entry(record(7), 1)
	if err := again.Append(e); err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	if size(2) != again.offset {
		t.Fatalf("a closed file has %d bytes, %d were written", size(2), again.offset)
	}
}

func TestTrimFails(t *testing.T) {
	for seed := uint64(0); seed < 40; seed++ {
		rng := rand.New(rand.NewPCG(seed, 2))
		m := blob.NewMem()
		l, _, _ := open(t, m.Root(), Options{FileBytes: 200})
		for i := range 40 {
			e := entry(record(i), 1)
			if err := l.Append(e); err != nil {
				t.Fatal(err)
			}
			if err := l.Wait(e.CSN); err != nil {
				t.Fatal(err)
			}
		}
		m.Inject(func(_ int64, op blob.OpKind, _ string) error {
			if (op == blob.OpSyncDir || op == blob.OpRemove) && rng.IntN(4) == 0 {
				return syscall.EIO
			}
			return nil
		})
		var wg sync.WaitGroup
		for range 2 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for k := storage.CSN(1); k < 8; k++ {
					_ = l.Trim(l.Appended() * k / 8)
				}
			}()
		}
		wg.Wait()
		m.Stop()
		_ = l.Close()
		l, _, _ = open(t, m.Crash(seed).Root(), Options{})
		l.Close()
	}
}

// TestCrash crashes the disk with records in every state.
func TestCrash(t *testing.T) {
	for seed := uint64(0); seed < 150; seed++ {
		rng := rand.New(rand.NewPCG(seed, 1))
		m := blob.NewMem()
		acked, sent := 0, 0
		for round := 0; round < 3; round++ {
			l, got, _ := open(t, m.Root(), Options{FileBytes: 3000})
			if len(got) < acked || len(got) > sent {
				t.Fatalf("seed %d: %d records of %d acknowledged and %d sent", seed, len(got), acked, sent)
			}
			for i, p := range got {
				if want := record(i); !bytes.Equal(p, want) {
					t.Fatalf("seed %d: record %d is %q", seed, i, p)
				}
			}
			acked, sent = len(got), len(got)
			stop := m.Ops() + 1 + rng.Int64N(60)
			m.Inject(func(n int64, _ blob.OpKind, _ string) error {
				if n >= stop {
					return blob.ErrCrashed
				}
				return nil
			})
			for {
				e := entry(record(sent), 1)
				if l.Append(e) != nil {
					break
				}
				sent++
				if rng.IntN(3) == 0 {
					if l.Wait(e.CSN) != nil {
						break
					}
					acked = sent
				}
			}
			l.Close()
			m = m.Crash(seed + uint64(round)<<32)
		}
	}
}

func record(i int) []byte { return bytes.Repeat([]byte{byte('a' + i%26)}, 1+i*37%900) }

// TestCorruption damages each byte of a synced log in turn.
func TestCorruption(t *testing.T) {
	m := blob.NewMem()
	l, _, _ := open(t, m.Root(), Options{})
	for i := range 4 {
		e := entry(record(i), 1)
		if err := errors.Join(l.Append(e), l.Wait(e.CSN)); err != nil {
			t.Fatal(err)
		}
	}
	l.Close()
	name := fileName(1)
	b, _ := blob.ReadAll(m.Root(), name)
	last := len(b) - frameHeader - len(record(3))
	for at := 0; at < len(b); at += 7 {
		bad := bytes.Clone(b)
		bad[at] ^= 0x10
		d := blob.NewMem().Root()
		blob.WriteFile(d, name, bad)
		_, got, _, err := tryOpen(d, Options{}, 0)
		var c *CorruptionError
		var v *VersionError
		switch {
		case at < last:
			if !errors.As(err, &c) && !errors.As(err, &v) {
				t.Fatalf("byte %d: %v, %d records", at, err, len(got))
			}
		case err != nil || len(got) != 3:
			t.Fatalf("byte %d of the tail: %v, %d records", at, err, len(got))
		}
		if at >= last {
			d := blob.NewMem().Root()
			blob.WriteFile(d, name, bad)
			if _, _, _, err := tryOpen(d, Options{}, 8); !errors.As(err, &c) {
				t.Fatalf("byte %d of the tail that a manifest covers: %v", at, err)
			}
		}
	}
}

func TestMissingFile(t *testing.T) {
	m := blob.NewMem()
	l, _, _ := open(t, m.Root(), Options{FileBytes: 100})
	for i := range 5 {
		e := entry(record(i), 1)
		if err := errors.Join(l.Append(e), l.Wait(e.CSN)); err != nil {
			t.Fatal(err)
		}
	}
	l.Close()
	m.Root().Remove(fileName(2))
	var c *CorruptionError
	if _, _, _, err := tryOpen(m.Root(), Options{}, 0); !errors.As(err, &c) {
		t.Fatalf("a missing file: %v", err)
	}
}

// TestFailedSync checks that the log stops for good, and tells.
func TestFailedSync(t *testing.T) {
	m := blob.NewMem()
	var fatal error
	l, _, _ := open(t, m.Root(), Options{Fatal: func(err error) { fatal = err }})
	m.Inject(func(n int64, op blob.OpKind, _ string) error {
		if op == blob.OpSync {
			return syscall.EIO
		}
		return nil
	})
	e := entry([]byte("x"), 0)
	if err := l.Append(e); err != nil {
		t.Fatal(err)
	}
	if err := l.Wait(e.CSN); !errors.Is(err, syscall.EIO) || !errors.Is(fatal, syscall.EIO) {
		t.Fatalf("Wait %v, Fatal %v", err, fatal)
	}
	m.Inject(nil)
	if err := l.Append(entry([]byte("y"), 0)); err == nil {
		t.Fatal("the log goes on after a failed sync")
	}
	l.Close()
}

// TestGolden pins the format: the bytes of small logs.
func TestGolden(t *testing.T) {
	golden(t, "testdata/v1.log", sample)
	golden(t, "testdata/v1-binlog.log", sampleBinlog)
	golden(t, "testdata/v1-rowfiles.log", sampleRowFiles)
	golden(t, "testdata/v1-keysfiles.log", sampleKeysFiles)
}

func golden(t *testing.T, path string, sample func(*Encoder)) {
	m := blob.NewMem()
	l, _, _ := open(t, m.Root(), Options{})
	enc := NewEncoder()
	sample(enc)
	e := &Entry{Buf: enc.Buf, Changes: 3}
	if err := errors.Join(l.Append(e), l.Wait(e.CSN)); err != nil {
		t.Fatal(err)
	}
	l.Close()
	got, _ := blob.ReadAll(m.Root(), fileName(1))
	if *rewrite {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("the log's bytes changed (%v); a change needs a new version", err)
	}
}

func FuzzRecover(f *testing.F) {
	for _, path := range []string{"testdata/v1.log", "testdata/v1-binlog.log", "testdata/v1-rowfiles.log", "testdata/v1-keysfiles.log"} {
		if b, err := os.ReadFile(path); err == nil {
			f.Add(b)
			f.Add(b[:len(b)-3])
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d := blob.NewMem().Root()
		blob.WriteFile(d, fileName(1), b)
		l, err := Open(Options{Dir: d})
		if err != nil {
			return
		}
		_, _ = l.Recover(0, func(e *Entry) error { return Decode(e.Payload(), countAll()) })
	})
}

func BenchmarkAppend(b *testing.B) {
	d, err := blob.OpenLocal(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{1, 8, 32, 128} {
		b.Run(fmt.Sprintf("writers=%d", n), func(b *testing.B) {
			sub, _ := d.Sub(fmt.Sprint(n, b.N))
			l, _, _ := open(b, sub, Options{})
			defer l.Close()
			var wg sync.WaitGroup
			for range n {
				wg.Add(1)
				go func() {
					defer wg.Done()
					e := entry(make([]byte, 330), 3)
					binary.LittleEndian.PutUint64(e.Buf[Headroom:], 7)
					for range b.N / n {
						e.crc = 0
						if errors.Join(l.Append(e), l.Wait(e.CSN)) != nil {
							b.Error("failed")
							return
						}
					}
				}()
			}
			wg.Wait()
		})
	}
}
