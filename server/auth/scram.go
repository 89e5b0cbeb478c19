package auth

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	_ "crypto/sha512" // certificates signed with SHA-384 and SHA-512
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"hash"
	"strings"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// The mechanisms.
const (
	ScramSHA256     = "SCRAM-SHA-256"
	ScramSHA256Plus = "SCRAM-SHA-256-PLUS"
)

const bindingType = "tls-server-end-point"

// Exchange is the server's side of one SCRAM-SHA-256 conversation (RFC 5802,
// 7677) as PostgreSQL speaks it: the user name in it is ignored, the one of the
// start-up message counts. First and Final are called once each, in this order.
type Exchange struct {
	user     string
	verifier Verifier
	endPoint []byte // channel binding data; nil without TLS
	doomed   bool
	admit    func() error

	gs2         string // client's gs2 header
	bound       bool   // it asked for channel binding
	nonce       string // client's and ours
	firstBare   string
	serverFirst string
}

// Mechanisms lists what is on offer, the best first.
func (x *Exchange) Mechanisms() []string {
	if x.endPoint != nil {
		return []string{ScramSHA256Plus, ScramSHA256}
	}
	return []string{ScramSHA256}
}

func malformed(detail string) error {
	return sqlstate.Errorf(sqlstate.ProtocolViolation, "malformed SCRAM message").WithDetail("%s", detail)
}

// First takes the mechanism the client chose and its first message, and returns
// the server's first message.
func (x *Exchange) First(mechanism string, msg []byte) ([]byte, error) {
	plus := mechanism == ScramSHA256Plus && x.endPoint != nil
	if !plus && mechanism != ScramSHA256 {
		return nil, sqlstate.Errorf(sqlstate.ProtocolViolation, "client selected an invalid SASL authentication mechanism")
	}
	flag, rest, _ := strings.Cut(string(msg), ",")
	authzid, bare, ok := strings.Cut(rest, ",")
	if !ok {
		return nil, malformed("The header is incomplete.")
	}
	if authzid != "" {
		return nil, sqlstate.Errorf(sqlstate.FeatureNotSupported, "client uses authorization identity, but it is not supported")
	}
	switch {
	case flag == "n" && !plus:
	case flag == "y" && !plus:
		if x.endPoint != nil { // a man in the middle took our offer away
			return nil, sqlstate.Errorf(sqlstate.InvalidAuthorizationSpecification, "SCRAM channel binding negotiation error").
				WithDetail("The client supports SCRAM channel binding but thinks the server does not.  However, this server does support channel binding.")
		}
	case flag == "p="+bindingType && plus:
		x.bound = true
	case strings.HasPrefix(flag, "p=") && plus:
		return nil, sqlstate.Errorf(sqlstate.ProtocolViolation, "unsupported SCRAM channel-binding type \"%s\"", flag[2:])
	default:
		return nil, malformed("The channel binding flag does not fit the mechanism.")
	}
	x.gs2 = flag + ",,"

	user, rest, ok := strings.Cut(bare, ",")
	if strings.HasPrefix(bare, "m=") {
		return nil, sqlstate.Errorf(sqlstate.FeatureNotSupported, "client requires an unsupported SCRAM extension")
	}
	nonce, _, _ := strings.Cut(rest, ",")
	if !ok || !strings.HasPrefix(user, "n=") || !strings.HasPrefix(nonce, "r=") || !printable(nonce[2:]) {
		return nil, malformed("The user name or the nonce is missing.")
	}
	own := make([]byte, 18)
	_, _ = rand.Read(own)
	x.nonce = nonce[2:] + base64.StdEncoding.EncodeToString(own)
	x.firstBare = bare
	x.serverFirst = fmt.Sprintf("r=%s,s=%s,i=%d", x.nonce, base64.StdEncoding.EncodeToString(x.verifier.Salt), x.verifier.Iterations)
	return []byte(x.serverFirst), nil
}

// printable says whether s is a nonce: printable ASCII, not empty.
func printable(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < 0x21 || s[i] > 0x7e {
			return false
		}
	}
	return s != ""
}

// Final takes the client's last message and returns the server's, or the reason
// why the client may not connect.
func (x *Exchange) Final(msg []byte) ([]byte, error) {
	text := string(msg)
	at := strings.LastIndex(text, ",p=")
	if at < 0 || x.serverFirst == "" {
		return nil, malformed("The proof is missing.")
	}
	unproved := text[:at]
	proof, err := base64.StdEncoding.DecodeString(text[at+3:])
	if err != nil || len(proof) != sha256.Size {
		return nil, malformed("The proof is malformed.")
	}
	binding, rest, _ := strings.Cut(unproved, ",")
	nonce, _, _ := strings.Cut(rest, ",")
	if !strings.HasPrefix(binding, "c=") || !strings.HasPrefix(nonce, "r=") {
		return nil, malformed("The channel binding or the nonce is missing.")
	}
	if nonce[2:] != x.nonce {
		return nil, malformed("The nonce does not match.")
	}
	want := []byte(x.gs2)
	if x.bound {
		want = append(want, x.endPoint...)
	}
	if got, err := base64.StdEncoding.DecodeString(binding[2:]); err != nil || !bytes.Equal(got, want) {
		return nil, sqlstate.Errorf(sqlstate.InvalidAuthorizationSpecification, "SCRAM channel binding check failed")
	}

	signed := x.firstBare + "," + x.serverFirst + "," + unproved
	key := mac(x.verifier.StoredKey[:], signed)
	for i := range key {
		key[i] ^= proof[i]
	}
	stored := sha256.Sum256(key)
	if subtle.ConstantTimeCompare(stored[:], x.verifier.StoredKey[:]) != 1 || x.doomed {
		return nil, sqlstate.Errorf(sqlstate.InvalidPassword, "password authentication failed for user \"%s\"", x.user)
	}
	if err := x.admit(); err != nil {
		return nil, err
	}
	return []byte("v=" + base64.StdEncoding.EncodeToString(mac(x.verifier.ServerKey[:], signed))), nil
}

// EndPoint is the tls-server-end-point channel binding of a certificate (RFC
// 5929): its hash by the algorithm of its signature, or SHA-256 where that is
// weaker. nil if the algorithm has no such hash.
func EndPoint(der []byte) []byte {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil
	}
	var h hash.Hash
	switch cert.SignatureAlgorithm {
	case x509.SHA384WithRSA, x509.ECDSAWithSHA384, x509.SHA384WithRSAPSS:
		h = crypto.SHA384.New()
	case x509.SHA512WithRSA, x509.ECDSAWithSHA512, x509.SHA512WithRSAPSS:
		h = crypto.SHA512.New()
	case x509.PureEd25519, x509.UnknownSignatureAlgorithm:
		return nil
	default:
		h = crypto.SHA256.New()
	}
	h.Write(der)
	return h.Sum(nil)
}
