package wire

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/millrace/millrace/server/auth"
	"github.com/millrace/millrace/server/pgwire"
)

// testRoles has postgres without a password, alice with one, and nologin.
type testRoles struct{ alice string }

func (r testRoles) Role(name string) (string, bool, bool) {
	switch name {
	case "postgres", "bob":
		return "", true, true
	case "alice":
		return r.alice, true, true
	case "nologin":
		return "", false, true
	}
	return "", false, false
}

// start runs a server with fake sessions until the test ends.
func start(t *testing.T, change func(*pgwire.Config)) (*Fake, *pgwire.Server, string) {
	t.Helper()
	v, err := auth.Password("secret")
	if err != nil {
		t.Fatal(err)
	}
	fake := NewFake()
	cfg := pgwire.Config{Sessions: fake, Auth: auth.NewPolicy(testRoles{v}), Settle: settle, Loops: 2}
	if testing.Verbose() {
		cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if change != nil {
		change(&cfg)
	}
	srv := pgwire.NewServer(cfg)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := contextTimeout(time.Minute)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
		if n := fake.Sessions.Load(); n != 0 {
			t.Errorf("%d sessions left open", n)
		}
	})
	return fake, srv, ln.Addr().String()
}

// TestScripts runs the message scripts of testdata. Commands:
//
//	connect [key=value ...]   opens a connection and sends a start-up message
//	dial                      opens one and sends nothing
//	send                      sends the messages of the input, in one write
//	until X [n]               prints messages up to the n-th of type X
//	eof                       expects the connection to end
//
// Messages: Q "sql", P "name" "sql" oid.., B "portal" "stmt" "v"|NULL.. [| format..],
// D S|P "name", E "portal" rows, C S|P "name", S, H, X, d "data", c, f "why",
// hex 00ff..
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		_, _, addr := start(t, nil)
		var nc net.Conn
		defer func() {
			if nc != nil {
				nc.Close()
			}
		}()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "connect", "dial":
				if nc != nil {
					nc.Close()
				}
				var err error
				if nc, err = net.Dial("tcp", addr); err != nil {
					t.Fatal(err)
				}
				_ = nc.SetDeadline(time.Now().Add(time.Minute))
				if d.Cmd == "dial" {
					return ""
				}
				p := binary.BigEndian.AppendUint32(nil, 3<<16)
				for _, a := range d.CmdArgs {
					p = append(p, a.Key+"\x00"+strings.Join(a.Vals, ",")+"\x00"...)
				}
				p = append(p, 0)
				_, _ = nc.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(p)+4)), p...))
				return ""
			case "send":
				var out []byte
				for _, line := range strings.Split(d.Input, "\n") {
					m, err := message(line)
					if err != nil {
						d.Fatalf(t, "%s: %v", line, err)
					}
					out = append(out, m...)
				}
				if _, err := nc.Write(out); err != nil {
					return err.Error()
				}
				return ""
			case "until":
				n := 1
				if len(d.CmdArgs) > 1 {
					n, _ = strconv.Atoi(d.CmdArgs[1].Key)
				}
				return until(nc, d.CmdArgs[0].Key[0], n)
			case "eof":
				return until(nc, 0, 1)
			}
			d.Fatalf(t, "unknown command %s", d.Cmd)
			return ""
		})
	})
}

// until prints messages up to the n-th of a type, or the end.
func until(nc net.Conn, typ byte, n int) string {
	var sb strings.Builder
	for {
		var head [5]byte
		if _, err := io.ReadFull(nc, head[:1]); err != nil {
			if errors.Is(err, io.EOF) {
				sb.WriteString("eof\n")
			} else {
				fmt.Fprintf(&sb, "read: %v\n", err)
			}
			return sb.String()
		}
		if typ == '1' && n < 0 || head[0] == 'N' && typ == 'N' { // one byte, not a message
			sb.WriteString(string(head[0]) + "\n")
			return sb.String()
		}
		if _, err := io.ReadFull(nc, head[1:]); err != nil {
			return sb.String() + err.Error() + "\n"
		}
		p := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
		if _, err := io.ReadFull(nc, p); err != nil {
			return sb.String() + err.Error() + "\n"
		}
		sb.WriteString(show(head[0], p) + "\n")
		if head[0] == typ {
			if n--; n == 0 {
				return sb.String()
			}
		}
	}
}

// show prints a message of the server.
func show(typ byte, p []byte) string {
	cstr := func() string {
		s, rest, _ := strings.Cut(string(p), "\x00")
		p = []byte(rest)
		return s
	}
	i16 := func() int { n := binary.BigEndian.Uint16(p); p = p[2:]; return int(int16(n)) }
	i32 := func() int { n := binary.BigEndian.Uint32(p); p = p[4:]; return int(int32(n)) }
	switch typ {
	case 'T':
		s := "T"
		for n := i16(); n > 0; n-- {
			name := cstr()
			s += fmt.Sprintf(" %s(table %d.%d type %d len %d mod %d format %d)", name, i32(), i16(), i32(), i16(), i32(), i16())
		}
		return s
	case 'D':
		var vals []string
		for n := i16(); n > 0; n-- {
			k := i32()
			if k < 0 {
				vals = append(vals, "NULL")
				continue
			}
			vals = append(vals, strings.Trim(strconv.Quote(string(p[:k])), `"`))
			p = p[k:]
		}
		return "D " + strings.Join(vals, "|")
	case 'C':
		return "C " + cstr()
	case 'Z':
		return "Z " + string(p)
	case 'E', 'N':
		s := string(typ)
		for len(p) > 1 {
			f := string(p[:1])
			p = p[1:]
			if v := cstr(); f != "V" {
				s += " " + f + "=" + v
			}
		}
		return s
	case 'S':
		return "S " + cstr() + "=" + cstr()
	case 't':
		s := "t"
		for n := i16(); n > 0; n-- {
			s += " " + strconv.Itoa(i32())
		}
		return s
	case 'K':
		return fmt.Sprintf("K %d bytes", len(p))
	case 'R':
		code := i32()
		if code == 10 {
			return fmt.Sprintf("R 10 %q", p)
		}
		return fmt.Sprintf("R %d", code)
	case 'd':
		return fmt.Sprintf("d %q", p)
	}
	if len(p) == 0 {
		return string(typ)
	}
	return fmt.Sprintf("%c %x", typ, p)
}

// message encodes a line of a script.
func message(line string) ([]byte, error) {
	words, err := split(line)
	if err != nil || len(words) == 0 {
		return nil, err
	}
	if words[0] == "hex" {
		return hex.DecodeString(strings.Join(words[1:], ""))
	}
	p := []byte{}
	str := func(s string) { p = append(append(p, s...), 0) }
	i16 := func(n int) { p = binary.BigEndian.AppendUint16(p, uint16(n)) }
	i32 := func(s string) { n, _ := strconv.Atoi(s); p = binary.BigEndian.AppendUint32(p, uint32(n)) }
	switch a := words[1:]; words[0] {
	case "Q":
		str(a[0])
	case "P":
		str(a[0])
		str(a[1])
		i16(len(a) - 2)
		for _, o := range a[2:] {
			i32(o)
		}
	case "B":
		str(a[0])
		str(a[1])
		i16(0)
		vals, formats := a[2:], []string{}
		for i, v := range vals {
			if v == "|" {
				vals, formats = vals[:i], vals[i+1:]
				break
			}
		}
		i16(len(vals))
		for _, v := range vals {
			if v == "NULL" {
				i32("-1")
				continue
			}
			i32(strconv.Itoa(len(v)))
			p = append(p, v...)
		}
		i16(len(formats))
		for _, f := range formats {
			n, _ := strconv.Atoi(f)
			i16(n)
		}
	case "D", "C":
		p = append(p, a[0]...)
		str(a[1])
	case "E":
		str(a[0])
		i32(a[1])
	case "d":
		p = append(p, a[0]...)
	case "f":
		str(a[0])
	case "S", "H", "X", "c":
	default:
		return nil, errors.New("unknown message")
	}
	return append(binary.BigEndian.AppendUint32([]byte{words[0][0]}, uint32(len(p)+4)), p...), nil
}

// split cuts a line into words and quoted strings.
func split(line string) ([]string, error) {
	var words []string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		if line[0] == '"' {
			q, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, err
			}
			w, err := strconv.Unquote(q)
			if err != nil {
				return nil, err
			}
			words, line = append(words, w), line[len(q):]
			continue
		}
		w, rest, _ := strings.Cut(line, " ")
		words, line = append(words, w), rest
	}
	return words, nil
}
