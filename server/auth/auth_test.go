package auth

import (
	"crypto/sha256"
	"encoding/base64"
	"net"
	"strings"
	"testing"

	"github.com/xdg-go/scram"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// The verifier that PostgreSQL 15 stored for the password "pencil".
const pencil = "SCRAM-SHA-256$4096:lUSIGmWI6bXdzV9lwmTAMQ==$yZe6C+Xsg73Pbnedmkd6ZctFdzAmJocNu0QPwAryWrI=:NmiwjKaLJF2MtK/dYZAEGIRZGKASjK6km7s2SZ7ZraY="

func TestVerifier(t *testing.T) {
	v, err := ParseVerifier(pencil)
	if err != nil {
		t.Fatal(err)
	}
	if v.String() != pencil {
		t.Errorf("round trip gives %s", v)
	}
	if !v.Matches("pencil") || v.Matches("pencil ") {
		t.Error("the verifier does not tell the right password")
	}
	if kept, err := Password(pencil); err != nil || kept != pencil {
		t.Errorf("a verifier given as password becomes %s, %v", kept, err)
	}
	made, err := Password("pencil")
	if err != nil || made == pencil || !strings.HasPrefix(made, "SCRAM-SHA-256$4096:") {
		t.Errorf("%s, %v", made, err)
	}
	for _, bad := range []string{"", "md5abc", "SCRAM-SHA-256$", "SCRAM-SHA-256$0:AA==$A:B",
		strings.Replace(pencil, "4096", "-1", 1), strings.Replace(pencil, "lUSI", "!!!!", 1), pencil[:len(pencil)-4]} {
		if _, err := ParseVerifier(bad); err == nil {
			t.Errorf("%q is taken for a verifier", bad)
		}
	}
}

type roles map[string]string

func (r roles) Role(name string) (string, bool, bool) {
	v, ok := r[name]
	return strings.TrimPrefix(v, "nologin"), !strings.HasPrefix(v, "nologin"), ok
}

var (
	loopback = &net.TCPAddr{IP: net.ParseIP("127.0.0.1")}
	remote   = &net.TCPAddr{IP: net.ParseIP("10.1.2.3")}
)

func TestPolicy(t *testing.T) {
	p := NewPolicy(roles{"open": "", "alice": pencil, "nobody": "nologin", "retired": "nologin" + pencil, "late": Expired})
	cases := []struct {
		user     string
		from     net.Addr
		asked    bool // for a password
		code     sqlstate.Code
		password string
		after    sqlstate.Code // code after the password
	}{
		{"open", loopback, false, "", "", ""},
		{"open", &net.TCPAddr{IP: net.ParseIP("::1")}, false, "", "", ""},
		{"open", &net.TCPAddr{IP: net.ParseIP("::ffff:127.0.0.1")}, false, "", "", ""},
		{"open", &net.UnixAddr{Name: "@"}, false, "", "", ""},
		{"open", remote, true, "", "", sqlstate.InvalidPassword},
		{"nobody", loopback, false, "28000", "", ""},
		{"missing", loopback, false, "28000", "", ""},
		{"missing", remote, true, "", "pencil", sqlstate.InvalidPassword},
		{"alice", loopback, true, "", "pencil", ""},
		{"alice", remote, true, "", "pencil", ""},
		{"alice", remote, true, "", "Pencil", sqlstate.InvalidPassword},
		{"late", loopback, true, "", "pencil", sqlstate.InvalidPassword},
		{"late", remote, true, "", Expired, sqlstate.InvalidPassword},
		{"retired", remote, true, "", "pencil", "28000"},
		{"retired", remote, true, "", "wrong", sqlstate.InvalidPassword},
	}
	for _, c := range cases {
		x, err := p.Start(c.user, c.from, nil)
		if sqlstate.CodeOf(err) != c.code || (x != nil) != c.asked {
			t.Errorf("%s from %v: asked %v, error %v", c.user, c.from, x != nil, err)
			continue
		}
		if x == nil {
			continue
		}
		if err := talk(t, x, ScramSHA256, c.password, nil); sqlstate.CodeOf(err) != c.after {
			t.Errorf("%s with %q: %v, want %s", c.user, c.password, err, c.after)
		}
	}
}

// talk plays a client of another library against x.
func talk(t *testing.T, x *Exchange, mechanism, password string, binding []byte) error {
	t.Helper()
	client, err := scram.SHA256.NewClient("ignored", password, "")
	if err != nil {
		t.Fatal(err)
	}
	conv := client.NewConversation()
	if binding != nil {
		conv = client.NewConversationWithChannelBinding(scram.ChannelBinding{Type: scram.ChannelBindingTLSServerEndpoint, Data: binding})
	}
	first, err := conv.Step("")
	if err != nil {
		t.Fatal(err)
	}
	reply, err := x.First(mechanism, []byte(first))
	if err != nil {
		return err
	}
	last, err := conv.Step(string(reply))
	if err != nil {
		t.Fatal(err)
	}
	if reply, err = x.Final([]byte(last)); err != nil {
		return err
	}
	if _, err := conv.Step(string(reply)); err != nil || !conv.Valid() {
		t.Errorf("the client does not believe the server: %v", err)
	}
	return nil
}

func TestChannelBinding(t *testing.T) {
	p := NewPolicy(roles{"alice": pencil})
	start := func() *Exchange {
		x, err := p.Start("alice", remote, []byte("hash of the certificate"))
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	if m := start().Mechanisms(); len(m) != 2 || m[0] != ScramSHA256Plus {
		t.Errorf("offers %v", m)
	}
	if err := talk(t, start(), ScramSHA256Plus, "pencil", []byte("hash of the certificate")); err != nil {
		t.Error(err)
	}
	if err := talk(t, start(), ScramSHA256Plus, "pencil", []byte("another certificate")); sqlstate.CodeOf(err) != "28000" {
		t.Errorf("a wrong binding gives %v", err)
	}
	if err := talk(t, start(), ScramSHA256, "pencil", nil); err != nil {
		t.Errorf("a client that cannot bind: %v", err)
	}
	if _, err := start().First(ScramSHA256, []byte("y,,n=,r=abc")); sqlstate.CodeOf(err) != "28000" {
		t.Errorf("a downgrade gives %v", err)
	}
}

func TestMalformed(t *testing.T) {
	p := NewPolicy(roles{"alice": pencil})
	for _, first := range []string{"", "n", "n,", "n,,", "n,,n=a", "n,,r=b", "n,,n=a,r=", "n,,n=a,r=a\x01", "n,a=x,n=a,r=b",
		"p=tls-unique,,n=a,r=b", "x,,n=a,r=b", "n,,m=ext,n=a,r=b"} {
		x, _ := p.Start("alice", remote, nil)
		if _, err := x.First(ScramSHA256, []byte(first)); err == nil {
			t.Errorf("first message %q is taken", first)
		}
	}
	for _, mechanism := range []string{"", "SCRAM-SHA-1", ScramSHA256Plus} {
		x, _ := p.Start("alice", remote, nil)
		if _, err := x.First(mechanism, []byte("n,,n=,r=abc")); err == nil {
			t.Errorf("mechanism %q is taken", mechanism)
		}
	}
	proof := base64.StdEncoding.EncodeToString(make([]byte, sha256.Size))
	for _, final := range []string{"", "p=" + proof, "c=biws,r=abc,p=" + proof, "c=biws,p=" + proof, "c=biws,r=,p=!", "c=AAAA,r=X,p=" + proof} {
		x, _ := p.Start("alice", remote, nil)
		if _, err := x.First(ScramSHA256, []byte("n,,n=,r=abc")); err != nil {
			t.Fatal(err)
		}
		final = strings.Replace(final, "X", x.nonce, 1)
		if _, err := x.Final([]byte(final)); err == nil {
			t.Errorf("final message %q is taken", final)
		}
	}
	x, _ := p.Start("alice", remote, nil)
	if _, err := x.Final([]byte("c=biws,r=,p=" + proof)); err == nil {
		t.Error("a final message without a first is taken")
	}
}

// FuzzExchange: whatever a client says, it is let in only with a proof.
func FuzzExchange(f *testing.F) {
	proof := base64.StdEncoding.EncodeToString(make([]byte, sha256.Size))
	f.Add("n,,n=,r=abc", "c=biws,r=X,p="+proof)
	f.Add("y,a=b,n=a,r=b", "c=eSws,r=X,p="+proof)
	f.Add("p=tls-server-end-point,,n=a,r=b", "c=,r=X,p="+proof)
	p := NewPolicy(roles{"alice": pencil})
	f.Fuzz(func(t *testing.T, first, final string) {
		for _, end := range [][]byte{nil, []byte("endpoint")} {
			x, err := p.Start("alice", remote, end)
			if err != nil {
				t.Fatal(err)
			}
			mechanism := ScramSHA256
			if end != nil {
				mechanism = ScramSHA256Plus
			}
			if _, err := x.First(mechanism, []byte(first)); err != nil {
				continue
			}
			if _, err := x.Final([]byte(strings.Replace(final, "X", x.nonce, 1))); err == nil {
				t.Errorf("%q, %q is let in", first, final)
			}
		}
	})
}
