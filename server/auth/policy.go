// Package auth decides who may connect and how a client proves who it is:
// trust for roles without a password on loopback, SCRAM-SHA-256 for all others,
// with channel binding over TLS. It knows the mechanisms, not the messages that
// carry them: those are pgwire's.
package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"net"
	"net/netip"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// Roles looks up who may connect. verifier is in the form of Verifier.String, ""
// for a role without a password.
type Roles interface {
	Role(name string) (verifier string, canLogin, ok bool)
}

// Expired is the verifier of a role whose password held only until a moment that
// has passed: no password fits it.
const Expired = "expired"

// Policy is the rule of who may connect. It is safe for concurrent use.
type Policy struct {
	roles  Roles
	secret [32]byte // salts for users that do not exist
}

// NewPolicy makes the policy over these roles.
func NewPolicy(roles Roles) *Policy {
	p := &Policy{roles: roles}
	_, _ = rand.Read(p.secret[:]) // never fails (crypto/rand)
	return p
}

// Start says how user, connecting from remote, must prove itself: by the returned
// exchange, or not at all if it is nil. endPoint is the tls-server-end-point data
// of a TLS connection, nil on a plain one. A role without a password is trusted
// on loopback only; elsewhere, as for an unknown role, the exchange is played to
// its end and fails there, so that the answers do not tell which roles exist.
func (p *Policy) Start(user string, remote net.Addr, endPoint []byte) (*Exchange, error) {
	text, canLogin, ok := p.roles.Role(user)
	if text == "" && local(remote) {
		return nil, admit(user, canLogin, ok)
	}
	x := &Exchange{user: user, endPoint: endPoint}
	v, err := ParseVerifier(text)
	if !ok || err != nil {
		v = p.mock(user)
		x.doomed = true
	}
	x.verifier = v
	x.admit = func() error { return admit(user, canLogin, ok) }
	return x, nil
}

// admit says whether a role that is who it says may log in.
func admit(user string, canLogin, ok bool) error {
	switch {
	case !ok:
		return sqlstate.Errorf(sqlstate.InvalidAuthorizationSpecification, "role \"%s\" does not exist", user)
	case !canLogin:
		return sqlstate.Errorf(sqlstate.InvalidAuthorizationSpecification, "role \"%s\" is not permitted to log in", user)
	}
	return nil
}

// mock is a verifier that no password fits, the same for a user each time.
func (p *Policy) mock(user string) Verifier {
	m := hmac.New(sha256.New, p.secret[:])
	m.Write([]byte(user))
	v := Verifier{Iterations: scramIterations, Salt: m.Sum(nil)[:scramSaltBytes]}
	_, _ = rand.Read(v.StoredKey[:])
	_, _ = rand.Read(v.ServerKey[:])
	return v
}

// local says whether a client sits on this machine.
func local(a net.Addr) bool {
	switch a := a.(type) {
	case *net.UnixAddr:
		return true
	case *net.TCPAddr:
		ip, ok := netip.AddrFromSlice(a.IP)
		return ok && ip.Unmap().IsLoopback()
	}
	return false
}
