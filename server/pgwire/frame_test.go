package pgwire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/millrace/millrace/catalog/sqlstate"
)

func frame(typ byte, body string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{typ}, uint32(len(body)+4)), body...)
}

func cat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestReaderFrames(t *testing.T) {
	big := string(bytes.Repeat([]byte("x"), 3*readBytesMin))
	stream := cat(frame('Q', "one"), frame('S', ""), frame('Q', big), frame('d', big), frame('X', ""))
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r },
		"bytes": iotest.OneByteReader,
		"half":  iotest.HalfReader,
		"eof":   iotest.DataErrReader,
	} {
		t.Run(name, func(t *testing.T) {
			f := newReader(wrap(bytes.NewReader(stream)))
			f.login = false
			for _, want := range []struct {
				typ  byte
				body string
			}{{'Q', "one"}, {'S', ""}, {'Q', big}, {'d', big}, {'X', ""}} {
				typ, body, err := f.next()
				if err != nil || typ != want.typ || string(body) != want.body {
					t.Fatalf("got %q with %d bytes, %v; want %q with %d", typ, len(body), err, want.typ, len(want.body))
				}
			}
			if _, _, err := f.next(); err != io.EOF {
				t.Errorf("at the end: %v", err)
			}
		})
	}
}

func TestReaderBounds(t *testing.T) {
	long := func(typ byte, n uint32) []byte { return binary.BigEndian.AppendUint32([]byte{typ}, n) }
	cases := []struct {
		name  string
		in    []byte
		login bool
		err   error // nil: a protocol violation
	}{
		{"unknown type", frame('z', ""), false, nil},
		{"length below 4", long('Q', 3), false, nil},
		{"length 0", long('Q', 0), false, nil},
		{"sync too long", long('S', 5+bodyBytesSmall), false, nil},
		{"query above 1 GB", long('Q', 1<<30+4), false, nil},
		{"all bits", long('Q', 1<<32-1), false, nil},
		{"password too long before login", long('p', 5+bodyBytesLogin), true, nil},
		{"query too long before login", long('Q', 5+bodyBytesLogin), true, nil},
		{"cut in the header", frame('Q', "x")[:3], false, io.ErrUnexpectedEOF},
		{"cut in the body", frame('Q', "abc")[:6], false, io.ErrUnexpectedEOF},
		{"cut before the body", frame('Q', "abc")[:5], false, io.ErrUnexpectedEOF},
		{"a large length without data", long('Q', 1<<30), false, io.ErrUnexpectedEOF},
	}
	for _, c := range cases {
		f := newReader(bytes.NewReader(c.in))
		f.login = c.login
		_, _, err := f.next()
		if c.err == nil && sqlstate.CodeOf(err) != sqlstate.ProtocolViolation || c.err != nil && !errors.Is(err, c.err) {
			t.Errorf("%s: %v", c.name, err)
		}
		if len(f.buf) > 2*readBytesMin {
			t.Errorf("%s: the buffer grew to %d bytes for %d that came", c.name, len(f.buf), len(c.in))
		}
	}
}

func TestReaderShrinks(t *testing.T) {
	f := newReader(bytes.NewReader(cat(frame('Q', string(make([]byte, 2*readBytesKeep))), frame('S', ""))))
	f.login = false
	if _, _, err := f.next(); err != nil {
		t.Fatal(err)
	}
	f.r, f.w = 0, 0
	f.shrink()
	if len(f.buf) != readBytesMin {
		t.Errorf("an idle buffer has %d bytes", len(f.buf))
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(cat(frame('Q', "select 1\x00"), frame('S', "")))
	f.Add(cat(frame('B', "\x00\x00\x00\x01\x00\x01\x00\x01\x00\x00\x00\x01a\x00\x00"), frame('E', "\x00\x00\x00\x00\x00")))
	f.Add([]byte{'d', 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, in []byte) {
		// What comes out must not depend on how the stream is cut.
		var got [2][][]byte
		for i, src := range []io.Reader{bytes.NewReader(in), iotest.OneByteReader(bytes.NewReader(in))} {
			r := newReader(src)
			r.login = false
			var known interned
			var b bind
			for {
				typ, p, err := r.next()
				if err != nil {
					break
				}
				got[i] = append(got[i], append([]byte{typ}, p...))
				if typ == msgBind && known.parseBind(p, &b) && len(b.params) > len(p) {
					t.Errorf("%d parameters in %d bytes", len(b.params), len(p))
				}
				m := body{b: p}
				m.cstring()
				m.int32()
				m.byte()
			}
			if len(r.buf) > max(2*len(in), readBytesMin) {
				t.Errorf("buffer of %d bytes for %d", len(r.buf), len(in))
			}
		}
		if len(got[0]) != len(got[1]) {
			t.Fatalf("%d frames whole, %d by bytes", len(got[0]), len(got[1]))
		}
		for k := range got[0] {
			if !bytes.Equal(got[0][k], got[1][k]) {
				t.Errorf("frame %d differs", k)
			}
		}
	})
}

func TestParseBind(t *testing.T) {
	p := []byte("portal\x00stmt\x00" +
		"\x00\x02\x00\x00\x00\x01" + // formats 0, 1
		"\x00\x03\x00\x00\x00\x02ab\xff\xff\xff\xff\x00\x00\x00\x00" + // "ab", NULL, ""
		"\x00\x01\x00\x01")
	var known interned
	var b bind
	if !known.parseBind(p, &b) {
		t.Fatal("not taken")
	}
	if b.portal != "portal" || b.stmt != "stmt" || len(b.paramFormats) != 2 || b.paramFormats[1] != 1 {
		t.Errorf("%+v", b)
	}
	if len(b.params) != 3 || string(b.params[0]) != "ab" || b.params[1] != nil || b.params[2] == nil || len(b.params[2]) != 0 {
		t.Errorf("parameters %q", b.params)
	}
	if len(b.resultFormats) != 1 || b.resultFormats[0] != 1 {
		t.Errorf("result formats %v", b.resultFormats)
	}
	for n := range p {
		if known.parseBind(p[:n], &b) {
			t.Errorf("the first %d bytes are taken for a Bind", n)
		}
	}
	if known.parseBind(append(p, 0), &b) {
		t.Error("a byte too many is taken")
	}
}

func TestSplitOptions(t *testing.T) {
	cases := map[string][]Param{
		"":                           nil,
		"-c a=b":                     {{"a", "b"}},
		"-ca=b --c-d=e":              {{"a", "b"}, {"c_d", "e"}},
		`-c search_path=a\ b,\\c`:    {{"search_path", `a b,\c`}},
		"-c  x=1   -c y=2 -v 3 -c z": {{"x", "1"}, {"y", "2"}},
		"-c geqo=off -c":             {{"geqo", "off"}},
		"-c a=b=c":                   {{"a", "b=c"}},
	}
	for in, want := range cases {
		got := splitOptions(in)
		if len(got) != len(want) {
			t.Errorf("%q: %v", in, got)
			continue
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%q: %v", in, got)
			}
		}
	}
}
