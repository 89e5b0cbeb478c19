package main

import "testing"

func TestBytesize(t *testing.T) {
	for text, want := range map[string]int64{
		"512MB": 512 << 20, "2GiB": 2 << 30, "1.5g": 3 << 29, "100": 100, "64 kB": 64 << 10, "0": 0,
		"": -1, "MB": -1, "12XB": -1, "-1": -1, "1e30": -1, "NaN": -1, "10GBB": -1,
	} {
		var b bytesize
		err := b.UnmarshalText([]byte(text))
		if want < 0 && err == nil || want >= 0 && (err != nil || int64(b) != want) {
			t.Errorf("%q: %d, %v; want %d", text, b, err, want)
		}
	}
}
