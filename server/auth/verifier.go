package auth

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/xdg-go/stringprep"
)

const (
	scramIterations = 4096
	scramSaltBytes  = 16
	verifierPrefix  = "SCRAM-SHA-256$"
)

// Verifier is what the catalog keeps of a password: enough to check it, not
// enough to log in with (RFC 5802).
type Verifier struct {
	Iterations int
	Salt       []byte
	StoredKey  [sha256.Size]byte
	ServerKey  [sha256.Size]byte
}

// NewVerifier makes the verifier of a password with a random salt.
func NewVerifier(password string) (Verifier, error) {
	salt := make([]byte, scramSaltBytes)
	_, _ = rand.Read(salt)
	return deriveVerifier(password, salt, scramIterations)
}

func deriveVerifier(password string, salt []byte, iterations int) (Verifier, error) {
	// PostgreSQL too takes a password as it is when SASLprep refuses it.
	if p, err := stringprep.SASLprep.Prepare(password); err == nil {
		password = p
	}
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		return Verifier{}, err
	}
	v := Verifier{Iterations: iterations, Salt: salt}
	v.StoredKey = sha256.Sum256(mac(salted, "Client Key"))
	copy(v.ServerKey[:], mac(salted, "Server Key"))
	return v, nil
}

func mac(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// String is the verifier as PostgreSQL writes it in pg_authid.rolpassword:
// SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey.
func (v Verifier) String() string {
	b := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("%s%d:%s$%s:%s", verifierPrefix, v.Iterations, b(v.Salt), b(v.StoredKey[:]), b(v.ServerKey[:]))
}

var errVerifier = errors.New("auth: malformed SCRAM verifier")

// ParseVerifier is the inverse of String.
func ParseVerifier(s string) (Verifier, error) {
	rest, ok := strings.CutPrefix(s, verifierPrefix)
	front, keys, ok2 := strings.Cut(rest, "$")
	iter, salt, ok3 := strings.Cut(front, ":")
	stored, server, ok4 := strings.Cut(keys, ":")
	if !ok || !ok2 || !ok3 || !ok4 {
		return Verifier{}, errVerifier
	}
	var v Verifier
	var err error
	if v.Iterations, err = strconv.Atoi(iter); err != nil || v.Iterations < 1 {
		return Verifier{}, errVerifier
	}
	if v.Salt, err = base64.StdEncoding.DecodeString(salt); err != nil || len(v.Salt) == 0 {
		return Verifier{}, errVerifier
	}
	for _, k := range []struct {
		text string
		key  *[sha256.Size]byte
	}{{stored, &v.StoredKey}, {server, &v.ServerKey}} {
		raw, err := base64.StdEncoding.DecodeString(k.text)
		if err != nil || len(raw) != sha256.Size {
			return Verifier{}, errVerifier
		}
		copy(k.key[:], raw)
	}
	return v, nil
}

// Password gives what to store for a password as CREATE or ALTER ROLE has it: a
// verifier is kept as it is, anything else is made one.
func Password(password string) (string, error) {
	if _, err := ParseVerifier(password); err == nil {
		return password, nil
	}
	v, err := NewVerifier(password)
	if err != nil {
		return "", err
	}
	return v.String(), nil
}

// Matches says whether a clear password fits the verifier.
func (v Verifier) Matches(password string) bool {
	w, err := deriveVerifier(password, v.Salt, v.Iterations)
	return err == nil && subtle.ConstantTimeCompare(w.StoredKey[:], v.StoredKey[:]) == 1
}
