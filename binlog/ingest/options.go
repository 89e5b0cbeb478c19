package ingest

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/binlog/format"
	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
)

// Policy is what happens at a message that cannot be applied.
type Policy uint8

// The policies.
const (
	// Stop disables the subscription before the message.
	Stop Policy = iota
	// DeadLetter puts the message into the error table and goes on.
	DeadLetter
)

// Evolution is what happens to fields that the target table has no column for.
type Evolution uint8

// The rules of schema evolution.
const (
	EvolveIgnore Evolution = iota
	EvolveAdd
	EvolveRescue
	EvolveStop
)

// Options are a subscription's options, read.
type Options struct {
	Format    *format.Format
	Append    bool
	OnError   Policy
	Evolution Evolution
	// Rescued is the name of the column for unknown fields.
	Rescued string
	// Start says where a partition without a stored position begins.
	Start Start
	// ResetEarliest: where stored positions are no longer in the source, go on with the
	// oldest that is there, instead of stopping.
	ResetEarliest bool
	// A batch is committed when it has so many rows or bytes, or its first message
	// has waited so long.
	BatchRows  int
	BatchBytes int64
	BatchTime  time.Duration
	// BufferBytes bounds the messages under way.
	BufferBytes int64
	// Source and FormatOptions are the options of the transport and of the format.
	Source, FormatOptions map[string]string
}

// StartKind says where to begin.
type StartKind uint8

// The places to begin at.
const (
	Earliest StartKind = iota
	Latest
	AtTime
	AtOffsets
)

// Start is where partitions begin that have no stored position.
type Start struct {
	Kind StartKind
	Time time.Time
	// Offsets are by partition, of all topics; a partition that is not named begins at
	// the earliest.
	Offsets map[int32]int64
}

// aliases are other systems' names, so that their definitions can be pasted.
var aliases = map[string]string{
	"scan.startup.mode": "start", "scan_startup_mode": "start", "properties.group.id": "group_id", "value.format": "format",
	"commit_interval": "batch_time", "flush_interval": "batch_time", "rescued": "rescued_column",
}

// Canonical is the name that an option is kept under.
func Canonical(name string) string {
	name = strings.ToLower(name)
	if a := aliases[name]; a != "" {
		return a
	}
	return name
}

func bad(option, value, want string) error {
	return sqlstate.Errorf(sqlstate.InvalidParameterValue, "invalid value for subscription parameter \"%s\": \"%s\"", option, value).
		WithHint("%s", want)
}

// ParseOptions reads and checks a subscription's options; secrets are those that its
// options do not show.
func ParseOptions(sub *catalog.Subscription, secrets map[string]string) (*Options, error) {
	u, tr, err := parseConn(sub.Conn)
	if err != nil {
		return nil, err
	}
	o := &Options{Rescued: "_rescued", BatchRows: 32768, BatchBytes: 8 << 20, BatchTime: 50 * time.Millisecond, BufferBytes: 32 << 20,
		Source: map[string]string{}, FormatOptions: map[string]string{}}
	name := sub.Options["format"]
	if name == "" {
		return nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "subscription needs the parameter \"format\"").
			WithHint("Formats are %s.", strings.Join(format.Names(), ", "))
	}
	if o.Format = format.Lookup(name); o.Format == nil {
		return nil, bad("format", name, "Formats are "+strings.Join(format.Names(), ", ")+".")
	}
	if sub.Options["target"] == "" {
		return nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "subscription needs the parameter \"target\"").
			WithHint("It names the table that takes the rows.")
	}
	for _, k := range slices.Sorted(maps.Keys(sub.Options)) {
		if err := o.set(tr, k, sub.Options[k]); err != nil {
			return nil, err
		}
	}
	maps.Copy(o.Source, secrets)
	if tr.Check != nil {
		return o, tr.Check(u, sub.Publications, o)
	}
	return o, nil
}

func (o *Options) set(tr *Transport, k, v string) error {
	switch k {
	case "format", "target", "error_table":
	case "mode":
		switch strings.ToLower(v) {
		case "append":
			o.Append = true
		case "upsert":
		default:
			return bad(k, v, "Modes are upsert and append.")
		}
	case "on_error":
		switch strings.ToLower(v) {
		case "stop":
		case "dead_letter":
			o.OnError = DeadLetter
		default:
			return bad(k, v, "Choose stop or dead_letter.")
		}
	case "schema_evolution":
		i := slices.Index([]string{"ignore", "add", "rescue", "stop"}, strings.ToLower(v))
		if i < 0 {
			return bad(k, v, "Choose ignore, add, rescue or stop.")
		}
		o.Evolution = Evolution(i)
	case "rescued_column":
		o.Rescued = v
	case "start":
		s, err := ParseStart(v)
		if err != nil {
			return err
		}
		o.Start = s
	case "on_truncation":
		switch strings.ToLower(v) {
		case "stop":
		case "earliest":
			o.ResetEarliest = true
		default:
			return bad(k, v, "Choose stop or earliest.")
		}
	case "batch_rows":
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > 1<<20 {
			return bad(k, v, "It is a number of rows from 1 to 1048576.")
		}
		o.BatchRows = n
	case "batch_bytes", "buffer_bytes":
		n, ok := parseBytes(v)
		if !ok || n < 1<<10 || n > 1<<30 {
			return bad(k, v, "It is a number of bytes, or with a unit as in 8MB, from 1kB to 1GB.")
		}
		if k == "batch_bytes" {
			o.BatchBytes = n
		} else {
			o.BufferBytes = n
		}
	case "batch_time":
		d, ok := parseDuration(v)
		if !ok || d < 0 || d > time.Minute {
			return bad(k, v, "It is a time as in 50ms, at most 1min.")
		}
		o.BatchTime = d
	default:
		switch {
		case slices.Contains(tr.Options, k):
			o.Source[k] = v
		case slices.Contains(o.Format.Options, k):
			o.FormatOptions[k] = v
		default:
			return Unrecognized(k)
		}
	}
	return nil
}

// Unrecognized is the error for an option that nobody knows.
func Unrecognized(name string) error {
	return sqlstate.Errorf(sqlstate.SyntaxError, "unrecognized subscription parameter: \"%s\"", name)
}

// Secret says whether an option of this name holds a secret.
func Secret(conn, name string) bool {
	tr, err := transportOf(conn)
	return err == nil && slices.Contains(tr.Secrets, name)
}

// ParseStart reads the option start: earliest, latest, a time, milliseconds since
// 1970, or offsets as "0:42,1:17" or "partition:0,offset:42;partition:1,offset:17".
func ParseStart(v string) (Start, error) {
	s := strings.TrimSpace(v)
	switch strings.ToLower(s) {
	case "earliest", "earliest-offset", "beginning":
		return Start{Kind: Earliest}, nil
	case "latest", "latest-offset", "end":
		return Start{Kind: Latest}, nil
	}
	rest := strings.TrimSpace(strings.TrimPrefix(strings.TrimPrefix(s, "timestamp:"), "timestamp="))
	if ms, err := strconv.ParseInt(rest, 10, 64); err == nil && ms >= 0 {
		return Start{Kind: AtTime, Time: time.UnixMilli(ms)}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999Z07",
		"2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999", "2006-01-02"} {
		if t, err := time.Parse(layout, rest); err == nil {
			return Start{Kind: AtTime, Time: t}, nil
		}
	}
	if at, ok := parseOffsets(s); ok {
		return Start{Kind: AtOffsets, Offsets: at}, nil
	}
	return Start{}, bad("start", v, "Use earliest, latest, a timestamp, or offsets by partition as in '0:42,1:17'.")
}

func parseOffsets(s string) (map[int32]int64, bool) {
	at := map[int32]int64{}
	sep := ","
	if strings.Contains(s, ";") || strings.Contains(s, "partition:") {
		sep = ";"
	}
	for _, item := range strings.Split(s, sep) {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		item = strings.Replace(strings.TrimPrefix(item, "partition:"), ",offset:", ":", 1)
		p, off, ok := strings.Cut(item, ":")
		part, err := strconv.ParseInt(strings.TrimSpace(p), 10, 32)
		n, err2 := strconv.ParseInt(strings.TrimSpace(off), 10, 64)
		if _, dup := at[int32(part)]; dup || !ok || err != nil || err2 != nil || part < 0 || n < 0 {
			return nil, false
		}
		at[int32(part)] = n
	}
	return at, len(at) > 0
}

func parseBytes(v string) (int64, bool) {
	units := []struct {
		name string
		n    int64
	}{{"kb", 1 << 10}, {"mb", 1 << 20}, {"gb", 1 << 30}, {"b", 1}}
	v = strings.ToLower(strings.TrimSpace(v))
	mul := int64(1)
	for _, u := range units {
		if s, ok := strings.CutSuffix(v, u.name); ok {
			v, mul = strings.TrimSpace(s), u.n
			break
		}
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n > (1<<62)/mul {
		return 0, false
	}
	return n * mul, true
}

// parseDuration reads a time with PostgreSQL's units or Go's; a bare number is ms.
func parseDuration(v string) (time.Duration, bool) {
	v = strings.ReplaceAll(strings.ToLower(strings.TrimSpace(v)), " ", "")
	if n, err := strconv.Atoi(v); err == nil {
		return time.Duration(n) * time.Millisecond, true
	}
	if s, ok := strings.CutSuffix(v, "min"); ok {
		v = s + "m"
	}
	d, err := time.ParseDuration(v)
	return d, err == nil
}

// Mask takes the secrets out of a connection string: the password after the user's
// name, and secret options. What it returns is kept and shown.
func Mask(conn string) (masked string, secrets map[string]string, err error) {
	u, tr, err := parseConn(conn)
	if err != nil {
		return "", nil, err
	}
	secrets = map[string]string{}
	if pass, ok := u.User.Password(); ok {
		if len(tr.Secrets) > 0 {
			secrets[tr.Secrets[0]] = pass
		}
		u.User = url.User(u.User.Username())
	}
	q := u.Query()
	for _, s := range tr.Secrets {
		if q.Has(s) {
			secrets[s] = q.Get(s)
			q.Del(s)
		}
	}
	u.RawQuery = q.Encode()
	return u.String(), secrets, nil
}

// parseConn parses a connection string; errors never show it, for it may hold a
// password.
func parseConn(conn string) (*url.URL, *Transport, error) {
	scheme, rest, ok := strings.Cut(conn, "://")
	if !ok {
		return nil, nil, sqlstate.Errorf(sqlstate.SyntaxError, "invalid connection string syntax").
			WithHint("Subscriptions read from %s.", strings.Join(schemes(), ", "))
	}
	tr := transports[strings.ToLower(scheme)]
	if tr == nil {
		return nil, nil, sqlstate.Unsupported("a subscription to \"%s://\"", scheme).
			WithHint("Subscriptions read from %s.", strings.Join(schemes(), ", "))
	}
	// net/url takes one host only.
	user := ""
	hosts, tail := rest, ""
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		hosts, tail = rest[:i], rest[i:]
	}
	if i := strings.LastIndexByte(hosts, '@'); i >= 0 {
		user, hosts = hosts[:i+1], hosts[i+1:]
	}
	u, err := url.Parse(strings.ToLower(scheme) + "://" + user + "x" + tail)
	if err != nil {
		return nil, nil, sqlstate.Errorf(sqlstate.SyntaxError, "invalid connection string syntax")
	}
	u.Host = hosts
	return u, tr, nil
}
