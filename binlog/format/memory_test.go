package format

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestMemory: what a decoder remembers of earlier messages makes it faster, never
// different. Messages of shuffled, doubled, escaped and damaged fields give the same
// from a decoder that has seen all the others as from one that has seen none.
func TestMemory(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	tab := table(1, "id int8, name text, n int4, f float8, j jsonb")
	object := func() string {
		fields := []string{`"id":1`, `"name":"x"`, `"n":12345678901`, `"n":7`, `"f":1.5`, `"j":{"a":[1,2]}`, `"zz":true`, `"na\u006de":"y"`, `"\u0001":1`, `"":2`, `"n":"8"`}
		r.Shuffle(len(fields), func(i, k int) { fields[i], fields[k] = fields[k], fields[i] })
		if r.IntN(2) == 0 {
			fields = []string{`"id":3`, `"name":"z"`, `"n":5`, `"f":2`, `"j":null`}
		}
		sep := []string{",", ",", ",", " , ", ",,"}[r.IntN(5)]
		colon := []string{":", ":", " : "}[r.IntN(3)]
		s := strings.Join(fields[:1+r.IntN(len(fields))], sep)
		if colon != ":" {
			s = strings.ReplaceAll(s, `":`, `"`+colon)
		}
		return "{" + s + "}"
	}
	damage := func(s string) string {
		if r.IntN(3) > 0 || len(s) == 0 {
			return s
		}
		b := []byte(s)
		for range 1 + r.IntN(2) {
			b[r.IntN(len(b))] = "{}[],:\"\\0 \xffn"[r.IntN(12)]
		}
		return string(b)
	}
	makers := map[string]func() string{
		"json": func() string { return damage(object()) },
		"debezium-json": func() string {
			parts := []string{`"before":` + []string{"null", object()}[r.IntN(2)], `"after":` + object(), `"op":"` + []string{"c", "u", "d"}[r.IntN(3)] + `"`,
				`"source":{"schema":"public","table":"` + []string{"a", "b"}[r.IntN(2)] + `","ts_ms":1790000000123}`, `"ts_ms":1790000000456`}
			if r.IntN(2) == 0 {
				r.Shuffle(len(parts), func(i, k int) { parts[i], parts[k] = parts[k], parts[i] })
			}
			return damage("{" + strings.Join(parts, ",") + "}")
		},
	}
	for name, make := range makers {
		opts := []string{"", "source_tables=a"}
		if name == "json" {
			opts = []string{"", "paths=n=j.a[0], name=zz"}
		}
		for _, o := range opts {
			for _, unknown := range []Unknown{IgnoreUnknown, ReportUnknown, RescueUnknown} {
				cfg := &Config{Table: tab, Unknown: unknown, Rescue: 4, Options: options(o)}
				old, err := Lookup(name).New(cfg)
				if err != nil {
					t.Fatal(err)
				}
				a, b := NewChanges(tab), NewChanges(tab)
				for range 3000 {
					msgs := []Message{{Key: []byte(`{"id":9}`), Value: []byte(make())}}
					fresh, err := Lookup(name).New(cfg)
					if err != nil {
						t.Fatal(err)
					}
					a.Reset()
					b.Reset()
					if _, err := old.Decode(msgs, a); err != nil {
						t.Fatal(err)
					}
					if _, err := fresh.Decode(msgs, b); err != nil {
						t.Fatal(err)
					}
					if x, y := fmt.Sprint(show(a), a.Time), fmt.Sprint(show(b), b.Time); x != y {
						t.Fatalf("%s %q: %s\nafter others %s\nalone        %s", name, o, msgs[0].Value, x, y)
					}
				}
			}
		}
	}
}
