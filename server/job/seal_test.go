package job

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestSealer(t *testing.T) {
	dir := t.TempDir()
	s, err := OpenSealer(dir)
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string]string{"sasl_password": "hunter2"}
	a, err := s.Seal(secrets)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := s.Seal(secrets)
	if bytes.Contains(a, []byte("hunter2")) || bytes.Equal(a, b) {
		t.Fatalf("sealed as %x and %x", a, b)
	}
	again, err := OpenSealer(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := again.Unseal(a); err != nil || got["sasl_password"] != "hunter2" {
		t.Fatal(got, err)
	}
	for i := range a {
		bad := bytes.Clone(a)
		bad[i] ^= 1
		if _, err := s.Unseal(bad); err == nil {
			t.Fatalf("byte %d changed, and nobody saw", i)
		}
	}
	if _, err := s.Unseal(a[:5]); err == nil {
		t.Fatal("a part was read")
	}
	if st, err := os.Stat(filepath.Join(dir, keyFile)); err != nil || st.Mode().Perm() != 0o600 {
		t.Fatal(st.Mode(), err)
	}
}
