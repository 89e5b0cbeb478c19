package demo

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// client is a connection to the server as psql would have it: the simple query
// protocol, answers as text.
type client struct {
	conn net.Conn
	r    *bufio.Reader
}

// messageMax bounds one message of the server.
const messageMax = 16 << 20

func dial(addr string) (*client, error) {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, r: bufio.NewReader(conn)}
	body := binary.BigEndian.AppendUint32(nil, 3<<16)
	body = append(body, "user\x00postgres\x00database\x00postgres\x00application_name\x00demo\x00\x00"...)
	if _, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4)), body...)); err != nil {
		conn.Close()
		return nil, err
	}
	if _, err := c.answer(); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

func (c *client) close() { c.conn.Close() }

// query runs statements and returns the rows of the last one that has any. Null is "".
func (c *client) query(sql string) ([][]string, error) {
	c.conn.SetDeadline(time.Now().Add(time.Minute))
	b := append([]byte{'Q'}, binary.BigEndian.AppendUint32(nil, uint32(len(sql)+5))...)
	if _, err := c.conn.Write(append(append(b, sql...), 0)); err != nil {
		return nil, err
	}
	return c.answer()
}

// answer reads until the server is ready.
func (c *client) answer() (rows [][]string, err error) {
	var failed error
	for {
		var h [5]byte
		if _, err := io.ReadFull(c.r, h[:]); err != nil {
			return nil, err
		}
		n := int(binary.BigEndian.Uint32(h[1:])) - 4
		if n < 0 || n > messageMax {
			return nil, fmt.Errorf("the server sent a message of %d bytes", n)
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(c.r, b); err != nil {
			return nil, err
		}
		switch h[0] {
		case 'R':
			if n < 4 || binary.BigEndian.Uint32(b) != 0 {
				return nil, errors.New("the server asks for a password")
			}
		case 'T':
			rows = nil
		case 'D':
			row, err := dataRow(b)
			if err != nil {
				return nil, err
			}
			rows = append(rows, row)
		case 'E':
			failed = errorResponse(b)
		case 'Z':
			return rows, failed
		}
	}
}

func dataRow(b []byte) ([]string, error) {
	short := errors.New("the server sent a row that ends early")
	if len(b) < 2 {
		return nil, short
	}
	row := make([]string, binary.BigEndian.Uint16(b))
	b = b[2:]
	for i := range row {
		if len(b) < 4 {
			return nil, short
		}
		n := int(int32(binary.BigEndian.Uint32(b)))
		b = b[4:]
		if n < 0 {
			continue
		}
		if n > len(b) {
			return nil, short
		}
		row[i], b = string(b[:n]), b[n:]
	}
	return row, nil
}

func errorResponse(b []byte) error {
	var code, msg, hint string
	for len(b) > 1 {
		k := b[0]
		b = b[1:]
		i := 0
		for i < len(b) && b[i] != 0 {
			i++
		}
		switch v := string(b[:i]); k {
		case 'C':
			code = v
		case 'M':
			msg = v
		case 'H':
			hint = v
		}
		b = b[min(i+1, len(b)):]
	}
	if hint != "" {
		return fmt.Errorf("%s (%s; %s)", msg, code, hint)
	}
	return fmt.Errorf("%s (%s)", msg, code)
}
