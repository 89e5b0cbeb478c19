package pgwire

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/server/auth"
)

// Codes in place of a protocol version.
const (
	codeCancel = 80877102
	codeSSL    = 80877103
	codeGSS    = 80877104
	version3   = 3 << 16
)

// errDone ends a connection that was never meant to have a session.
var errDone = errors.New("pgwire: connection done")

// startup negotiates until the client has asked for a session.
func (c *conn) startup() (Startup, error) {
	var st Startup
	if err := c.directTLS(); err != nil {
		return st, err
	}
	gss := false
	for {
		msg, err := c.startupPacket()
		if err != nil {
			return st, err
		}
		switch code := binary.BigEndian.Uint32(msg); {
		case code == codeCancel:
			if len(msg) == 12 {
				c.srv.cancelRequest(int32(binary.BigEndian.Uint32(msg[4:])), binary.BigEndian.Uint32(msg[8:]))
			}
			return st, errDone
		case code == codeSSL && !c.tls:
			if err := c.answerSSL(); err != nil {
				return st, err
			}
		case code == codeGSS && !gss:
			gss = true
			if _, err := c.nc.Write([]byte{'N'}); err != nil {
				return st, err
			}
		case code>>16 == 3:
			return c.parameters(code, msg[4:])
		default:
			return st, protocolError{sqlstate.Errorf(sqlstate.FeatureNotSupported,
				"unsupported frontend protocol %d.%d: server supports 3.0 to 3.0", code>>16, code&0xffff)}
		}
	}
}

// startupPacket reads a packet without a type: length, then at least a code.
func (c *conn) startupPacket() ([]byte, error) {
	in := c.in
	if err := in.need(4); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(in.buf[in.r:])
	if n < 8 || n > bodyBytesLogin {
		return nil, violation("invalid length of startup packet")
	}
	if err := in.need(int(n)); err != nil {
		return nil, unexpected(err)
	}
	msg := in.buf[in.r+4 : in.r+int(n)]
	in.r += int(n)
	return msg, nil
}

// answerSSL answers an SSLRequest and, with TLS at hand, makes the handshake.
func (c *conn) answerSSL() error {
	// Bytes sent before our answer would be taken for encrypted ones after it.
	if c.in.buffered() > 0 {
		return protocolError{sqlstate.Errorf(sqlstate.ProtocolViolation, "received unencrypted data after SSL request").
			WithDetail("This could be either a client-software bug or evidence of an attempted man-in-the-middle attack.")}
	}
	if c.srv.cfg.TLS == nil {
		_, err := c.nc.Write([]byte{'N'})
		return err
	}
	if _, err := c.nc.Write([]byte{'S'}); err != nil {
		return err
	}
	return c.handshake(c.nc, c.srv.cfg.TLS)
}

// directTLS makes the handshake of a client that starts with it, as libpq 17 can.
func (c *conn) directTLS() error {
	const handshakeRecord = 0x16
	if err := c.in.need(1); err != nil {
		return err
	}
	if c.in.buf[c.in.r] != handshakeRecord || c.srv.cfg.TLS == nil {
		return nil
	}
	cfg := c.srv.cfg.TLS.Clone()
	cfg.NextProtos = []string{"postgresql"}
	read := append([]byte(nil), c.in.buf[c.in.r:c.in.w]...)
	c.in.r, c.in.w = 0, 0
	if err := c.handshake(&replayConn{Conn: c.nc, read: read}, cfg); err != nil {
		return err
	}
	if c.nc.(*tls.Conn).ConnectionState().NegotiatedProtocol != "postgresql" {
		return violation("received direct SSL connection request without ALPN protocol negotiation extension")
	}
	return nil
}

func (c *conn) handshake(nc net.Conn, cfg *tls.Config) error {
	t := tls.Server(nc, cfg)
	if err := t.HandshakeContext(c.ctx); err != nil {
		c.log.Debug("TLS handshake failed", "err", err)
		return errDone
	}
	c.nc, c.tls = t, true
	c.in.src, c.w.dst = t, t
	return nil
}

// replayConn gives out again what was read from a connection too early.
type replayConn struct {
	net.Conn
	read []byte
}

func (r *replayConn) Read(p []byte) (int, error) {
	if len(r.read) > 0 {
		n := copy(p, r.read)
		r.read = r.read[n:]
		return n, nil
	}
	return r.Conn.Read(p)
}

// parameters takes the name-value pairs of a start-up message. What belongs to a
// newer protocol is negotiated down to 3.0.
func (c *conn) parameters(version uint32, p []byte) (Startup, error) {
	st := Startup{Remote: c.raw.RemoteAddr(), TLS: c.tls}
	m := body{b: p}
	var unknown []string
	for {
		name := string(m.cstring())
		if name == "" {
			break
		}
		value := string(m.cstring())
		switch {
		case name == "user":
			st.User = value
		case name == "database":
			st.Database = value
		case name == "replication":
			st.Replication = value
		case name == "options":
			st.Params = append(st.Params, splitOptions(value)...)
		case strings.HasPrefix(name, "_pq_."):
			unknown = append(unknown, name)
		default:
			st.Params = append(st.Params, Param{name, value})
		}
	}
	if !m.done() {
		return st, protocolError{sqlstate.Errorf(sqlstate.ProtocolViolation, "invalid startup packet layout: expected terminator as last byte")}
	}
	if version != version3 || len(unknown) > 0 {
		at := c.w.begin('v')
		c.w.int32(version3)
		c.w.int32(int32(len(unknown)))
		for _, u := range unknown {
			c.w.cstring(u)
		}
		c.w.end(at)
	}
	if st.User == "" {
		return st, protocolError{sqlstate.Errorf(sqlstate.InvalidAuthorizationSpecification, "no PostgreSQL user name specified in startup packet")}
	}
	if st.Database == "" {
		st.Database = st.User
	}
	return st, nil
}

// splitOptions reads the settings in the `options` parameter: -c name=value and
// --name=value, separated by spaces, with backslash escapes. In a name dashes
// stand for underscores, as on a command line.
func splitOptions(s string) []Param {
	var words []string
	var word []byte
	inWord := false
	for i := 0; i < len(s); i++ {
		switch ch := s[i]; {
		case ch == ' ' || ch == '\t' || ch == '\n' || ch == '\r':
			if inWord {
				words, word, inWord = append(words, string(word)), word[:0], false
			}
		case ch == '\\' && i+1 < len(s):
			i++
			word, inWord = append(word, s[i]), true
		default:
			word, inWord = append(word, ch), true
		}
	}
	if inWord {
		words = append(words, string(word))
	}
	var ps []Param
	for i := 0; i < len(words); i++ {
		w, ok := strings.CutPrefix(words[i], "--")
		if !ok {
			if w, ok = strings.CutPrefix(words[i], "-c"); !ok {
				continue
			}
			if w == "" && i+1 < len(words) {
				i++
				w = words[i]
			}
		}
		if name, value, ok := strings.Cut(w, "="); ok {
			ps = append(ps, Param{strings.ReplaceAll(name, "-", "_"), value})
		}
	}
	return ps
}

// Authentication codes.
const (
	authOK           = 0
	authSASL         = 10
	authSASLContinue = 11
	authSASLFinal    = 12
)

// authenticate lets the client prove who it is. A failure is fatal.
func (c *conn) authenticate(st *Startup) error {
	var endPoint []byte
	if t, ok := c.nc.(*tls.Conn); ok {
		endPoint = c.endPoint(t)
	}
	x, err := c.srv.cfg.Auth.Start(st.User, st.Remote, endPoint)
	if err != nil {
		return err
	}
	if x != nil {
		if err := c.sasl(x); err != nil {
			return err
		}
	}
	at := c.w.begin('R')
	c.w.int32(authOK)
	c.w.end(at)
	return nil
}

// endPoint is the channel binding data of the certificate we showed.
func (c *conn) endPoint(*tls.Conn) []byte {
	cfg := c.srv.cfg.TLS
	if cfg == nil || len(cfg.Certificates) != 1 || len(cfg.Certificates[0].Certificate) == 0 {
		return nil
	}
	return auth.EndPoint(cfg.Certificates[0].Certificate[0])
}

// sasl carries one SCRAM exchange.
func (c *conn) sasl(x *auth.Exchange) error {
	at := c.w.begin('R')
	c.w.int32(authSASL)
	for _, m := range x.Mechanisms() {
		c.w.cstring(m)
	}
	c.w.out = append(c.w.out, 0)
	c.w.end(at)

	p, err := c.password()
	if err != nil {
		return err
	}
	m := body{b: p}
	mechanism := string(m.cstring())
	first := m.take(int(m.int32()))
	if !m.done() {
		return violation("malformed SASL initial response")
	}
	reply, err := x.First(mechanism, first)
	if err != nil {
		return err
	}
	c.saslReply(authSASLContinue, reply)
	if p, err = c.password(); err != nil {
		return err
	}
	if reply, err = x.Final(p); err != nil {
		return err
	}
	c.saslReply(authSASLFinal, reply)
	return nil
}

func (c *conn) saslReply(code int32, data []byte) {
	at := c.w.begin('R')
	c.w.int32(code)
	c.w.out = append(c.w.out, data...)
	c.w.end(at)
}

// password flushes what is asked and reads the client's answer.
func (c *conn) password() ([]byte, error) {
	if err := c.w.flush(); err != nil {
		return nil, err
	}
	typ, p, err := c.in.next()
	if err != nil {
		if err == io.EOF { // libpq hangs up to ask its user for a password
			return nil, errDone
		}
		return nil, err
	}
	if typ != msgPassword {
		return nil, violation("expected SASL response, got message type %d", typ)
	}
	return p, nil
}

// login runs everything up to the first ReadyForQuery, within the time allowed.
func (c *conn) login() error {
	c.setDeadline(time.Now().Add(c.srv.cfg.LoginTimeout))
	st, err := c.startup()
	if err != nil {
		return err
	}
	if err := c.authenticate(&st); err != nil {
		return err
	}
	if err := c.srv.register(c); err != nil {
		return err
	}
	c.log = c.log.With("pid", c.pid, "user", st.User)
	st.PID = c.pid
	sess, err := c.srv.cfg.Sessions.Open(c.ctx, st, c)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.sess = sess
	c.mu.Unlock()
	at := c.w.begin('K')
	c.w.int32(c.pid)
	c.w.int32(int32(c.key))
	c.w.end(at)
	c.w.ready(c.sess.TxStatus())
	if err := c.w.flush(); err != nil {
		return err
	}
	c.in.login, c.idle = false, true
	c.setDeadline(time.Time{})
	return nil
}
