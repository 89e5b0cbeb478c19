package session

import (
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// setting describes one run-time parameter (a GUC).
type setting struct {
	name, def string
	// report: the client is told of every change by ParameterStatus.
	report bool
	// readOnly settings are facts of the server.
	readOnly bool
	// check normalises a new value; nil takes any text.
	check func(string) (string, error)
	unit  string // of the value as it is kept: "ms", "kB", "8kB", "B" or ""
	short string
}

func oneOf(name string, values ...string) func(string) (string, error) {
	return func(v string) (string, error) {
		for _, w := range values {
			if strings.EqualFold(v, w) {
				return w, nil
			}
		}
		return "", sqlstate.Errorf(sqlstate.InvalidParameterValue, "invalid value for parameter \"%s\": \"%s\"", name, v).
			WithHint("Available values: %s.", strings.Join(values, ", "))
	}
}

func boolean(name string) func(string) (string, error) {
	return func(v string) (string, error) {
		switch strings.ToLower(v) {
		case "on", "true", "yes", "1", "t", "y", "tr", "tru", "ye":
			return "on", nil
		case "off", "false", "no", "0", "f", "n", "of", "fa", "fal", "fals":
			return "off", nil
		}
		return "", sqlstate.Errorf(sqlstate.InvalidParameterValue, "parameter \"%s\" requires a Boolean value", name)
	}
}

func integer(name string, lo, hi int64) func(string) (string, error) {
	return func(v string) (string, error) {
		n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
		if err != nil {
			return "", sqlstate.Errorf(sqlstate.InvalidParameterValue, "invalid value for parameter \"%s\": \"%s\"", name, v)
		}
		if n < lo || n > hi {
			return "", sqlstate.Errorf(sqlstate.InvalidParameterValue, "%d is outside the valid range for parameter \"%s\" (%d .. %d)", n, name, lo, hi)
		}
		return strconv.FormatInt(n, 10), nil
	}
}

// Version is the version of PostgreSQL that Millrace reports, with its own.
const (
	versionNum   = "160010"
	versionShort = "16.10 (Millrace 0.1.0)"
	versionText  = "PostgreSQL 16.10 (Millrace 0.1.0) on x86_64-pc-linux-gnu, compiled by go1.26, 64-bit"
)

var settingList = []setting{
	{name: "application_name", report: true},
	{name: "bytea_output", def: "hex", check: oneOf("bytea_output", "hex", "escape")},
	{name: "check_function_bodies", def: "on", check: boolean("check_function_bodies")},
	{name: "client_encoding", def: "UTF8", report: true, check: clientEncoding},
	{name: "client_min_messages", def: "notice", check: oneOf("client_min_messages", "debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error")},
	{name: "cursor_tuple_fraction", def: "0.1", check: real("cursor_tuple_fraction", 0, 1)},
	{name: "datestyle", def: "ISO, MDY", report: true, check: checkDateStyle},
	{name: "default_table_access_method", def: "heap", check: heap},
	{name: "default_tablespace", check: tablespace},
	{name: "default_text_search_config", def: "pg_catalog.simple"},
	{name: "default_transaction_deferrable", def: "off", check: boolean("default_transaction_deferrable")},
	{name: "default_transaction_isolation", def: "read committed", check: isolation("default_transaction_isolation")},
	{name: "default_transaction_read_only", def: "off", report: true, check: boolean("default_transaction_read_only")},
	{name: "extra_float_digits", def: "1", check: integer("extra_float_digits", -15, 3)},
	{name: "hg_computing_resource"},
	{name: keepFirst, def: "off", check: boolean(keepFirst)},
	{name: keepLast, def: "off", check: boolean(keepLast)},
	{name: "hg_experimental_generate_binlog", def: "on", check: boolean("hg_experimental_generate_binlog")},
	{name: "idle_in_transaction_session_timeout", def: "0", check: millis("idle_in_transaction_session_timeout"), unit: "ms"},
	{name: "idle_session_timeout", def: "0", check: millis("idle_session_timeout"), unit: "ms"},
	{name: "in_hot_standby", def: "off", report: true, readOnly: true},
	{name: "integer_datetimes", def: "on", report: true, readOnly: true},
	{name: "intervalstyle", def: "postgres", report: true, check: oneOf("IntervalStyle", "postgres", "postgres_verbose", "sql_standard", "iso_8601")},
	{name: "is_superuser", def: "on", report: true, readOnly: true},
	{name: "jit", def: "off", check: boolean("jit")},
	{name: "lc_collate", def: "C", readOnly: true},
	{name: "lc_ctype", def: "C", readOnly: true},
	{name: "lc_messages", def: "C"},
	{name: "lc_monetary", def: "C"},
	{name: "lc_numeric", def: "C"},
	{name: "lc_time", def: "C"},
	{name: "lock_timeout", def: "0", check: millis("lock_timeout"), unit: "ms"},
	{name: "max_connections", def: "100", readOnly: true},
	{name: "max_identifier_length", def: "63", readOnly: true},
	{name: "max_index_keys", def: "32", readOnly: true},
	{name: "millrace.batch_size", def: "2048", check: integer("millrace.batch_size", 1, 2048), short: "Rows in a batch (a test setting)."},
	{name: "millrace.force_spill", def: "off", check: boolean("millrace.force_spill"), short: "Makes joins, aggregates and sorts spill (a test setting)."},
	{name: "millrace.passes_off", short: "Names of optimizer passes to leave out (a test setting)."},
	{name: "millrace.plan_cache", def: "on", check: boolean("millrace.plan_cache"), short: "Uses plans that other statements of the same text made."},
	{name: "millrace.query_memory", def: "0", check: integer("millrace.query_memory", 0, 1<<50), unit: "B", short: "Memory bound of a query in bytes; 0 is the server's."},
	{name: "millrace.workers", def: "0", check: integer("millrace.workers", 0, 1024), short: "Workers of a query; 0 is the server's."},
	{name: "password_encryption", def: "scram-sha-256", check: oneOf("password_encryption", "scram-sha-256")},
	{name: "row_security", def: "on", check: boolean("row_security")},
	{name: "scram_iterations", def: "4096", report: true, check: integer("scram_iterations", 1, 1<<31-1)},
	{name: "search_path", def: `"$user", public`},
	{name: "server_encoding", def: "UTF8", report: true, readOnly: true},
	{name: "server_version", def: versionShort, report: true, readOnly: true},
	{name: "server_version_num", def: versionNum, readOnly: true},
	{name: "session_authorization", report: true, readOnly: true},
	{name: "session_replication_role", def: "origin", check: oneOf("session_replication_role", "origin", "replica", "local")},
	{name: "role", def: "none"},
	{name: "standard_conforming_strings", def: "on", report: true, check: standardStrings},
	{name: "statement_timeout", def: "0", check: millis("statement_timeout"), unit: "ms"},
	{name: "synchronize_seqscans", def: "on", check: boolean("synchronize_seqscans")},
	{name: "synchronous_commit", def: "on", check: oneOf("synchronous_commit", "on", "off", "local", "remote_write", "remote_apply")},
	{name: "temp_buffers", def: "1024", check: quantity("temp_buffers", "8kB", 100, 1<<30-1), unit: "8kB"},
	{name: "timezone", def: "UTC", report: true, check: checkTimeZone},
	{name: "transaction_deferrable", def: "off", check: boolean("transaction_deferrable")},
	{name: "transaction_isolation", def: "read committed", check: isolation("transaction_isolation")},
	{name: "transaction_read_only", def: "off", check: boolean("transaction_read_only")},
	{name: "transform_null_equals", def: "off", check: boolean("transform_null_equals")},
	{name: "wal_level", def: "replica", readOnly: true},
	{name: "block_size", def: "8192", readOnly: true},
	{name: "work_mem", def: "4096", check: quantity("work_mem", "kB", 64, 1<<31-1), unit: "kB"},
	{name: "maintenance_work_mem", def: "65536", check: quantity("maintenance_work_mem", "kB", 1024, 1<<31-1), unit: "kB"},
	{name: "max_parallel_workers_per_gather", def: "2", check: integer("max_parallel_workers_per_gather", 0, 1024)},
	{name: "enable_seqscan", def: "on", check: boolean("enable_seqscan")},
	{name: "enable_hashjoin", def: "on", check: boolean("enable_hashjoin")},
	{name: "enable_nestloop", def: "on", check: boolean("enable_nestloop")},
	{name: "enable_mergejoin", def: "on", check: boolean("enable_mergejoin")},
	{name: "enable_indexscan", def: "on", check: boolean("enable_indexscan")},
	{name: "enable_bitmapscan", def: "on", check: boolean("enable_bitmapscan")},
	{name: "xmloption", def: "content", check: oneOf("xmloption", "content", "document")},
	{name: "xmlbinary", def: "base64", check: oneOf("xmlbinary", "base64", "hex")},
	{name: "quote_all_identifiers", def: "off", check: boolean("quote_all_identifiers")},
	{name: "geqo", def: "on", check: boolean("geqo")},
}

// display has the spelling in which a name is shown and reported.
var display = map[string]string{"datestyle": "DateStyle", "timezone": "TimeZone", "intervalstyle": "IntervalStyle"}

var settingByName = func() map[string]*setting {
	m := map[string]*setting{}
	for i := range settingList {
		m[settingList[i].name] = &settingList[i]
	}
	return m
}()

func shown(name string) string {
	if d, ok := display[name]; ok {
		return d
	}
	return name
}

func clientEncoding(v string) (string, error) {
	switch strings.ToUpper(strings.NewReplacer("-", "", "_", "").Replace(v)) {
	case "UTF8", "UNICODE":
		return "UTF8", nil
	}
	return "", sqlstate.Errorf(sqlstate.FeatureNotSupported, "conversion between %s and UTF8 is not supported", v)
}

func standardStrings(v string) (string, error) {
	v, err := boolean("standard_conforming_strings")(v)
	if err == nil && v == "off" {
		return "", sqlstate.Unsupported("standard_conforming_strings = off")
	}
	return v, err
}

func isolation(name string) func(string) (string, error) {
	return func(v string) (string, error) {
		switch strings.ToLower(v) {
		case "read committed", "repeatable read":
			return strings.ToLower(v), nil
		case "read uncommitted":
			return "read uncommitted", nil
		case "serializable":
			return "", sqlstate.Unsupported("isolation level SERIALIZABLE").WithHint("Use REPEATABLE READ, which is snapshot isolation.")
		}
		return "", sqlstate.Errorf(sqlstate.InvalidParameterValue, "invalid value for parameter \"%s\": \"%s\"", name, v)
	}
}

func checkDateStyle(v string) (string, error) {
	style, order, err := parseDateStyle(v, types.DateISO, types.OrderMDY)
	if err != nil {
		return "", err
	}
	names := [...]string{types.DateISO: "ISO", types.DateSQL: "SQL", types.DatePostgres: "Postgres", types.DateGerman: "German"}
	orders := [...]string{types.OrderMDY: "MDY", types.OrderDMY: "DMY", types.OrderYMD: "YMD"}
	return names[style] + ", " + orders[order], nil
}

func parseDateStyle(v string, style types.DateStyle, order types.DateOrder) (types.DateStyle, types.DateOrder, error) {
	for _, w := range strings.Split(v, ",") {
		switch w = strings.ToUpper(strings.TrimSpace(w)); {
		case w == "" || w == "DEFAULT":
		case w == "ISO":
			style = types.DateISO
		case w == "SQL":
			style = types.DateSQL
		case strings.HasPrefix(w, "POSTGRES"):
			style = types.DatePostgres
		case w == "GERMAN":
			style = types.DateGerman
		case w == "MDY" || w == "US" || strings.HasPrefix(w, "NONEURO"):
			order = types.OrderMDY
		case w == "DMY" || strings.HasPrefix(w, "EURO"):
			order = types.OrderDMY
		case w == "YMD":
			order = types.OrderYMD
		default:
			return 0, 0, sqlstate.Errorf(sqlstate.InvalidParameterValue, "invalid value for parameter \"DateStyle\": \"%s\"", v).
				WithDetail("Unrecognized key word: \"%s\".", strings.ToLower(w))
		}
	}
	return style, order, nil
}

func checkTimeZone(v string) (string, error) {
	if _, err := zone(v); err != nil {
		return "", err
	}
	return v, nil
}

func zone(v string) (*time.Location, error) {
	bad := sqlstate.Errorf(sqlstate.InvalidParameterValue, "invalid value for parameter \"TimeZone\": \"%s\"", v)
	s := strings.TrimSpace(v)
	if strings.EqualFold(s, "local") || strings.EqualFold(s, "default") {
		return time.UTC, nil
	}
	if h, err := strconv.ParseFloat(s, 64); err == nil {
		if h < -167 || h > 167 {
			return nil, bad
		}
		return time.FixedZone(s, int(h*3600)), nil
	}
	loc, err := types.LoadZone(s)
	if err != nil {
		return nil, bad
	}
	return loc, nil
}

// settings are a session's values: defaults, the session's own, and those that a
// transaction may take back.
type settings struct {
	values map[string]string
	reset  map[string]string // what RESET goes back to: start-up values
	// undo has the values at the begin of the transaction of settings changed in it;
	// local those that end with it.
	undo  map[string]string
	local map[string]string
	// read is what each statement asks for, made when needed; nil after a change.
	read *readSettings
}

// readSettings are the settings that every statement or message looks at, read once.
type readSettings struct {
	statementTimeout, idleSession, idleInTxn time.Duration
	lockTimeout                              time.Duration
	searchPath, passesOff                    string
	repeatable, readOnly, async, noBinlog    bool
	// defaults says that the transaction's settings are the session's defaults.
	defaults bool
	// quick allows plans to run without pipelines, cache to come from other sessions.
	quick, cache                 bool
	batchSize, workers, queryMem int64
	forceSpill                   bool
	keepFirst, keepLast          bool
	// planning has all the settings that a plan depends on but for the search path.
	planning string
}

func (s *settings) quick() *readSettings {
	if s.read != nil {
		return s.read
	}
	ms := func(name string) time.Duration { return time.Duration(s.int(name)) * time.Millisecond }
	r := &readSettings{
		statementTimeout: ms("statement_timeout"), idleSession: ms("idle_session_timeout"), idleInTxn: ms("idle_in_transaction_session_timeout"),
		lockTimeout: ms("lock_timeout"),
		searchPath:  s.text("search_path"), passesOff: s.text("millrace.passes_off"),
		repeatable: s.text("transaction_isolation") == "repeatable read", readOnly: s.on("transaction_read_only"),
		async: s.text("synchronous_commit") == "off", noBinlog: !s.on("hg_experimental_generate_binlog"),
		defaults: s.text("transaction_isolation") == s.text("default_transaction_isolation") &&
			s.text("transaction_read_only") == s.text("default_transaction_read_only"),
		batchSize: s.int("millrace.batch_size"), workers: s.int("millrace.workers"), queryMem: s.int("millrace.query_memory"),
		keepFirst: s.on(keepFirst), keepLast: s.on(keepLast),
		forceSpill: s.on("millrace.force_spill"), cache: s.on("millrace.plan_cache"),
	}
	// Settings that put operators to the test want operators.
	r.quick = r.batchSize == vec.Size && !r.forceSpill && r.passesOff == ""
	for _, n := range []string{"timezone", "datestyle", "intervalstyle", "bytea_output", "extra_float_digits", "transform_null_equals",
		"millrace.passes_off", "session_authorization"} {
		r.planning += s.text(n) + "\x00"
	}
	s.read = r
	return r
}

// assign sets a value without more ado.
func (s *settings) assign(name, value string) {
	s.values[name] = value
	s.read = nil
}

// What ON CONFLICT DO UPDATE does with rows of one statement that have one key.
const (
	keepFirst = "hg_experimental_affect_row_multiple_times_keep_first"
	keepLast  = "hg_experimental_affect_row_multiple_times_keep_last"
)

func newSettings() *settings {
	return &settings{values: map[string]string{}, reset: map[string]string{}}
}

func known(name string) (*setting, error) {
	if s := settingByName[name]; s != nil {
		return s, nil
	}
	if strings.HasPrefix(name, "hg_") {
		return &setting{name: name}, nil
	}
	if strings.Contains(name, ".") {
		for _, part := range strings.Split(name, ".") {
			if !identifier(part) {
				return nil, sqlstate.Errorf(sqlstate.InvalidName, "invalid configuration parameter name \"%s\"", name).
					WithDetail("Custom parameter names must be two or more simple identifiers separated by dots.")
			}
		}
		return &setting{name: name}, nil
	}
	return nil, sqlstate.Errorf(sqlstate.UndefinedObject, "unrecognized configuration parameter \"%s\"", name)
}

func canonical(name string) string {
	name = strings.ToLower(name)
	switch name {
	case "time zone":
		return "timezone"
	case "session characteristics":
		return "default_transaction_isolation"
	}
	return name
}

// get gives a value; ok is false for a name that nobody set and no one knows.
func (s *settings) get(name string) (string, bool) {
	name = canonical(name)
	if v, ok := s.values[name]; ok {
		return v, true
	}
	if k := settingByName[name]; k != nil {
		return k.def, true
	}
	return "", false
}

func (s *settings) text(name string) string { v, _ := s.get(name); return v }

func (s *settings) on(name string) bool { return s.text(name) == "on" }

func (s *settings) int(name string) int64 {
	n, _ := strconv.ParseInt(s.text(name), 10, 64)
	return n
}

// set checks and sets. inTxn says that a rollback takes it back; local that the
// transaction's end does.
func (s *settings) set(name, value string, inTxn, local bool) error {
	name = canonical(name)
	k, err := known(name)
	if err != nil {
		return err
	}
	if k.readOnly {
		return sqlstate.Errorf(sqlstate.CantChangeRuntimeParam, "parameter \"%s\" cannot be changed", shown(name))
	}
	if k.check != nil {
		if value, err = k.check(value); err != nil {
			return err
		}
	}
	s.put(name, value, inTxn, local)
	return nil
}

func (s *settings) put(name, value string, inTxn, local bool) {
	old := s.text(name)
	if inTxn {
		if s.undo == nil {
			s.undo = map[string]string{}
		}
		if _, have := s.undo[name]; !have {
			s.undo[name] = old
		}
		if local {
			if s.local == nil {
				s.local = map[string]string{}
			}
			if _, have := s.local[name]; !have {
				s.local[name] = old
			}
		} else {
			delete(s.local, name)
		}
	}
	s.assign(name, value)
}

// endTxn takes back what the transaction's end takes back and returns the names.
func (s *settings) endTxn(commit bool) []string {
	back := s.undo
	if commit {
		back = s.local
	}
	var names []string
	for n, v := range back {
		s.assign(n, v)
		names = append(names, n)
	}
	s.undo, s.local = nil, nil
	return names
}

func (s *settings) resetTo(name string) string {
	if v, ok := s.reset[name]; ok {
		return v
	}
	if k := settingByName[name]; k != nil {
		return k.def
	}
	return ""
}

// all lists every setting by name, for SHOW ALL and pg_settings.
func (s *settings) all() []setting {
	out := append([]setting(nil), settingList...)
	sort.Slice(out, func(i, j int) bool { return out[i].name < out[j].name })
	return out
}

// typesEnv builds the part of the settings that gives values their text.
func (s *settings) typesEnv() *types.Env {
	e := &types.Env{ExtraFloatDigits: int(s.int("extra_float_digits")), ByteaEscape: s.text("bytea_output") == "escape"}
	e.DateStyle, e.DateOrder, _ = parseDateStyle(s.text("datestyle"), types.DateISO, types.OrderMDY)
	switch s.text("intervalstyle") {
	case "postgres_verbose":
		e.IntervalStyle = types.IntervalPostgresVerbose
	case "sql_standard":
		e.IntervalStyle = types.IntervalSQL
	case "iso_8601":
		e.IntervalStyle = types.IntervalISO
	}
	e.TimeZone, _ = zone(s.text("timezone"))
	return e
}

// show is the text SHOW gives, with units as PostgreSQL prints them.
func (s *settings) show(name string) (string, error) {
	name = canonical(name)
	v, ok := s.get(name)
	if !ok {
		return "", sqlstate.Errorf(sqlstate.UndefinedObject, "unrecognized configuration parameter \"%s\"", name)
	}
	if k := settingByName[name]; k != nil && units[k.unit] != nil {
		n, _ := strconv.ParseInt(v, 10, 64)
		return inUnits(n, units[k.unit]), nil
	}
	return v, nil
}
