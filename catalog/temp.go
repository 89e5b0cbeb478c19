package catalog

import (
	"strconv"
	"strings"
)

// Temp says whether a relation is a temporary one, and what becomes of it when a
// transaction of its session commits.
type Temp uint8

// The kinds.
const (
	NotTemp    Temp = iota
	TempKeep        // ON COMMIT PRESERVE ROWS
	TempDelete      // ON COMMIT DELETE ROWS
	TempDrop        // ON COMMIT DROP
)

const tempPrefix = "pg_temp_"

// TempSchema is the schema of a session's temporary relations, which is made when the
// first of them is. At the session's end it is dropped with all in it, and at a start
// those that a crash left.
func TempSchema(pid int32) string { return tempPrefix + strconv.Itoa(int(pid)) }

// IsTempSchema says whether a schema is one for a session's temporary relations.
func IsTempSchema(name string) bool { return strings.HasPrefix(name, tempPrefix) }
