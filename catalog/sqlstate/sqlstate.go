// Package sqlstate holds the error type that reaches a client and the SQLSTATE
// codes that Millrace raises. It imports nothing of Millrace, and everything
// may import it: an error takes its code where the cause is known and gains
// context with %w on the way up.
package sqlstate

import (
	"errors"
	"fmt"
	"syscall"
)

// Code is a five-character SQLSTATE (ISO 9075; PostgreSQL's appendix A).
type Code string

// Error is an error as PostgreSQL's protocol describes it. Only Code and
// Message are required. Position counts characters, from 1, in the whole query
// string as the client sent it; 0 means unknown.
type Error struct {
	Code       Code
	Message    string
	Detail     string
	Hint       string
	Position   int
	Where      string
	Schema     string
	Table      string
	Column     string
	DataType   string
	Constraint string
}

// Error returns the primary message.
func (e *Error) Error() string { return e.Message }

// Errorf makes an Error with a formatted primary message.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// WithDetail returns a copy with the detail set.
func (e *Error) WithDetail(format string, args ...any) *Error {
	c := *e
	c.Detail = fmt.Sprintf(format, args...)
	return &c
}

// WithHint returns a copy with the hint set.
func (e *Error) WithHint(format string, args ...any) *Error {
	c := *e
	c.Hint = fmt.Sprintf(format, args...)
	return &c
}

// At returns a copy with the position set, unless one is set already. pos
// counts characters from 1.
func (e *Error) At(pos int) *Error {
	if e.Position != 0 || pos <= 0 {
		return e
	}
	c := *e
	c.Position = pos
	return &c
}

// Unsupported is 0A000 with a message that names the feature.
func Unsupported(format string, args ...any) *Error {
	return Errorf(FeatureNotSupported, "%s is not supported", fmt.Sprintf(format, args...))
}

// From finds the Error inside err; an error without one becomes one with err's text
// and the code of a failed disk where that is the cause, else XX000. From(nil) is nil.
func From(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	code := InternalError
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		code = DiskFull
	case errors.Is(err, syscall.EIO):
		code = IOError
	}
	return &Error{Code: code, Message: err.Error()}
}

// CodeOf is From(err).Code, or "" for nil.
func CodeOf(err error) Code {
	if e := From(err); e != nil {
		return e.Code
	}
	return ""
}
