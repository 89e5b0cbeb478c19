package jsonscan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// walk opens everything and writes the text again, compactly, or skips.
func walk(s *Scanner, out []byte) []byte {
	switch s.Peek() {
	case Object:
		s.Open()
		out = append(out, '{')
		for first := true; ; first = false {
			k, ok := s.Member(first)
			if !ok {
				break
			}
			if !first {
				out = append(out, ',')
			}
			out = append(append(append(out, '"'), s.Bytes(k)...), '"', ':')
			out = walk(s, out)
		}
		return append(out, '}')
	case Array:
		s.Open()
		out = append(out, '[')
		for first := true; s.Element(first); first = false {
			if !first {
				out = append(out, ',')
			}
			out = walk(s, out)
		}
		return append(out, ']')
	}
	v := s.Value()
	if v.Kind == String {
		return append(append(append(out, '"'), s.Bytes(v)...), '"')
	}
	return append(out, s.Bytes(v)...)
}

// check compares both ways of reading with encoding/json.
func check(t *testing.T, text []byte) {
	t.Helper()
	var s Scanner
	s.Reset(text)
	v := s.Value()
	skipped := v.Kind != None && s.End()
	var w Scanner
	w.Reset(text)
	again := walk(&w, nil)
	walked := w.End()
	if skipped != walked {
		t.Fatalf("%q: skipping says %v (%v), walking %v (%v)", text, skipped, s.Err(), walked, w.Err())
	}
	want := json.Valid(text) && bytes.ToValidUTF8(text, []byte("?")) != nil && string(bytes.ToValidUTF8(text, []byte{})) == string(text)
	if deep := s.err != nil && strings.Contains(s.err.Reason, "levels"); deep {
		return
	}
	if skipped != want {
		t.Fatalf("%q: we say %v (%v), encoding/json %v", text, skipped, s.Err(), want)
	}
	if !want {
		if s.Err() == nil || w.Err() == nil {
			t.Fatalf("%q: refused without a reason", text)
		}
		return
	}
	var c bytes.Buffer
	if err := json.Compact(&c, text); err != nil {
		t.Fatal(err)
	}
	if c.String() != string(again) {
		t.Fatalf("%q walks as %q", text, again)
	}
	if v.Kind == String {
		var str string
		if err := json.Unmarshal(text, &str); err != nil {
			t.Fatal(err)
		}
		got, err := Unescape(nil, s.Bytes(v))
		if err == nil && string(got) != str {
			t.Fatalf("%q unescapes to %q, want %q", text, got, str)
		}
		if err != nil && !strings.ContainsAny(str, "\x00\ufffd") {
			t.Fatalf("%q: %v", text, err)
		}
	}
}

var texts = []string{
	`{}`, `[]`, `[[]]`, `{"a":{}}`, ` { "a" : [ 1 , 2.5e-3 , true,false ,null ] } `, `""`, `"\u00e9\ud83d\ude00\n"`, `"\ud83d"`,
	`"\u0000"`, `-0`, `-`, `01`, `1.`, `.5`, `1e`, `1e+`, `1E+5`, `nul`, `nulll`, `tru`, `{"a"}`, `{"a":}`, `{"a":1,}`, `[1,]`, `[,1]`, `{,}`,
	`{]`, `[}`, `[1}`, `{"a":1]`, `{"a":[1}`, `"abc`, `"ab\`, `"\x"`, `"\u12"`, `"\u12g4"`, "\"a\tb\"", "\"12345678\x01\"", "\"é12345678\"", "\xff", "\"\xc3\"",
	``, ` `, `1 2`, `{} x`, `{"a":1}{"b":2}`, `"123456789012345\"678"`, "[1\u00a0]", "\v1", `{"a" 1}`, `{1:2}`,
}

func TestAgainstEncodingJSON(t *testing.T) {
	for _, x := range texts {
		check(t, []byte(x))
	}
	r := rand.New(rand.NewPCG(1, 2))
	for i := 0; i < 20000; i++ {
		x := []byte(random(r, 4))
		check(t, x)
		// Damage it.
		for k := r.IntN(3); k >= 0 && len(x) > 0; k-- {
			switch p := r.IntN(len(x)); r.IntN(3) {
			case 0:
				x[p] = "{}[],:\"\\0e-. \x00\x1f\x7f\x80\xff"[r.IntN(18)]
			case 1:
				x = append(x[:p], x[p+1:]...)
			default:
				x = x[:p]
			}
		}
		check(t, x)
	}
}

func random(r *rand.Rand, depth int) string {
	ws := func() string { return []string{"", "", "", " ", "\n\t", "\r "}[r.IntN(6)] }
	n := r.IntN(8)
	if depth == 0 {
		n = r.IntN(6)
	}
	switch n {
	case 0:
		return ws() + []string{"null", "true", "false"}[r.IntN(3)] + ws()
	case 1, 2:
		return ws() + []string{"0", "-0.5", "12", "1e9", "123456789012345678901234567890.5E-7"}[r.IntN(5)] + ws()
	case 6:
		var b strings.Builder
		for k := r.IntN(4); k > 0; k-- {
			b.WriteString(random(r, depth-1))
			if k > 1 {
				b.WriteByte(',')
			}
		}
		return ws() + "[" + ws() + b.String() + "]" + ws()
	case 7:
		var b strings.Builder
		for k := r.IntN(4); k > 0; k-- {
			b.WriteString(ws() + str(r) + ws() + ":" + random(r, depth-1))
			if k > 1 {
				b.WriteByte(',')
			}
		}
		return ws() + "{" + ws() + b.String() + "}" + ws()
	}
	return str(r)
}

func str(r *rand.Rand) string {
	var b strings.Builder
	b.WriteByte('"')
	for k := r.IntN(20); k > 0; k-- {
		b.WriteString([]string{"a", "bc", "é", "😀", `\n`, `\"`, `\\`, `\u00e9`, `\ud83d\ude00`, "/", "\x7f", "日本"}[r.IntN(12)])
	}
	b.WriteByte('"')
	return b.String()
}

func TestDepth(t *testing.T) {
	for _, c := range []struct {
		depth int
		ok    bool
	}{{DepthMax, true}, {DepthMax + 1, false}, {1 << 20, false}} {
		for _, b := range []string{"[]", "{}"} {
			o := b[:1]
			if o == "{" {
				o = `{"a":`
			}
			text := strings.Repeat(o, c.depth-1) + b + strings.Repeat(b[1:], c.depth-1)
			var s Scanner
			s.Reset([]byte(text))
			if ok := s.Value().Kind != None && s.End(); ok != c.ok {
				t.Errorf("%d levels of %s: %v, %v", c.depth, b, ok, s.Err())
			}
		}
	}
}

// What is inside an opened container counts its depth too.
func TestDepthInside(t *testing.T) {
	text := strings.Repeat("[", DepthMax+1) + strings.Repeat("]", DepthMax+1)
	var s Scanner
	s.Reset([]byte(text))
	for i := 0; i < 10; i++ {
		s.Open()
		s.Element(true)
	}
	if s.Value().Kind != None {
		t.Error("one level too many is accepted")
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`{"a":1`, `invalid JSON at byte 6: the text ends where "," or "}" is expected`},
		{`{"a":"b`, `invalid JSON at byte 7: the text ends inside a string`},
		{`[1 2]`, `invalid JSON at byte 3: '2' where "," or "]" is expected`},
		{"[\"\x01\"]", `invalid JSON at byte 2: byte 0x01 must be escaped in a string`},
		{"\"a\xc3\"", `invalid JSON at byte 2: byte 0xc3 is not valid UTF-8`},
		{`[007]`, `invalid JSON at byte 2: a number may not begin with 0`},
	} {
		var s Scanner
		s.Reset([]byte(c.text))
		s.Value()
		if got := fmt.Sprint(s.Err()); got != c.want {
			t.Errorf("%q: %s\nwant %s", c.text, got, c.want)
		}
	}
}

func FuzzScan(f *testing.F) {
	for _, x := range texts {
		f.Add([]byte(x))
	}
	f.Fuzz(func(t *testing.T, x []byte) { check(t, x) })
}

var sample = []byte(`{"before":null,"after":{"id":1234567,"customer_id":8812,"amount":"MDk=","status":"dispatched","created_at":1790000000000000,"note":"a note of medium length here"},"source":{"version":"2.7.0.Final","connector":"postgresql","name":"shop","ts_ms":1790000000123,"snapshot":"false","db":"shop","sequence":"[\"24023128\",\"24023128\"]","schema":"public","table":"orders","txId":555,"lsn":24023128,"xmin":null},"op":"c","ts_ms":1790000000456,"transaction":null}`)

func BenchmarkSkip(b *testing.B) {
	var s Scanner
	b.SetBytes(int64(len(sample)))
	b.ReportAllocs()
	for b.Loop() {
		s.Reset(sample)
		if s.Value().Kind != Object {
			b.Fatal(s.Err())
		}
	}
}
