// Package syscat serves pg_catalog, information_schema and hologres: system
// relations with PostgreSQL 16's columns, filled from the catalog and from what the
// asking session shows of itself (View). It is a source like any other: a relation
// is a list of rows at a moment, and queries over it run in the ordinary engine.
//
// relations.tsv has the relations and columns (schema, relation, OID, kind, column,
// type, not null); a relation without a provider in providers is empty, which is
// what it would be in a PostgreSQL where nobody used that feature.
package syscat

import (
	_ "embed" // relations.tsv
	"fmt"
	"strconv"
	"strings"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
)

// View is what system relations and functions may know of the session that asks.
type View interface {
	Catalog() *catalog.Version
	Store() storage.Store
	User() *catalog.Role
	SessionUser() string
	Database() string
	SearchPath() []string
	// TempSchema is the schema of the session's temporary relations, "" for none.
	TempSchema() string
	// Setting and SetSetting are current_setting and set_config.
	Setting(name string) (string, bool)
	SetSetting(name, value string, local bool) error
	Settings() []SettingInfo
	Activity() []Activity
	AdvisoryLocks() []AdvisoryLock
	PreparedStatements() []PreparedInfo
	Cursors() []PreparedInfo
	// CancelBackend is pg_cancel_backend and pg_terminate_backend.
	CancelBackend(pid int32, terminate bool) (bool, error)
	PID() int32
	// Notify is pg_notify, Channels are pg_listening_channels.
	Notify(channel, payload string) error
	Channels() []string
	// ExportSnapshot is pg_export_snapshot.
	ExportSnapshot() (string, error)
	// Nextval, Currval, Lastval and Setval are the functions of those names.
	Nextval(t *catalog.Table) (int64, error)
	Currval(t *catalog.Table) (int64, error)
	Lastval() (int64, error)
	Setval(t *catalog.Table, n int64, called bool) error
	// SequenceState is where a sequence is, and how far the durable state is ahead.
	SequenceState(t *catalog.Table) (last int64, called bool, ahead int, err error)
	// MayUseSequence says whether the user has one of these privileges (letters).
	MayUseSequence(t *catalog.Table, letters string) bool
	// Subscription tells how a subscription is doing; nil for one not known yet.
	Subscription(oid uint32) *SubscriptionInfo
	// ReplicationSlots lists the slots of binlogs.
	ReplicationSlots() []SlotInfo
	Now() int64
	// StartTime is pg_postmaster_start_time.
	StartTime() int64
}

// SettingInfo is a row of pg_settings.
type SettingInfo struct{ Name, Value, Unit, Default, Reset, Short string }

// Activity is a row of pg_stat_activity. Times are µs since 2000, 0 for none.
type Activity struct {
	PID                                              int32
	User, Database, Application, State               string
	Query, ClientAddr                                string
	BackendStart, XactStart, QueryStart, StateChange int64
}

// AdvisoryLock is a lock that a session has, or waits for since WaitStart.
type AdvisoryLock struct {
	ID        int64
	Pair      bool // of two numbers, the halves of ID
	Shared    bool
	PID       int32
	Database  string
	WaitStart int64
}

// PreparedInfo is a row of pg_prepared_statements or pg_cursors.
type PreparedInfo struct {
	Name, Text string
	Params     []uint32
	Time       int64
}

//go:embed relations.tsv
var relationsText string

// Source holds the definitions of the system relations. It is immutable.
type Source struct {
	byName map[string]*catalog.Table
	list   []*catalog.Table
}

// New reads the definitions.
func New() *Source {
	s := &Source{byName: map[string]*catalog.Table{}}
	schemas := map[string]uint32{"pg_catalog": catalog.PgCatalogOID, "information_schema": catalog.InformationSchemaOID, "hologres": catalog.HologresSchemaOID}
	for _, line := range strings.Split(relationsText, "\n") {
		f := strings.Split(line, "\t")
		if len(f) != 7 {
			continue
		}
		key := f[0] + "." + f[1]
		t := s.byName[key]
		if t == nil {
			oid, _ := strconv.ParseUint(f[2], 10, 32)
			t = &catalog.Table{OID: uint32(oid), Schema: schemas[f[0]], Name: f[1], Kind: catalog.KindSystem, Owner: catalog.PostgresRoleOID,
				Props: map[string]string{"relkind": f[3]}}
			s.byName[key] = t
			s.list = append(s.list, t)
		}
		typ, _ := strconv.ParseUint(f[5], 10, 32)
		n := len(t.Columns) + 1
		t.Columns = append(t.Columns, catalog.Column{ID: int32(n), Attr: int16(n), Name: f[4], T: types.Of(uint32(typ), -1), NotNull: f[6] == "1"})
	}
	return s
}

// Table finds a system relation; nil when there is none.
func (s *Source) Table(schema, name string) *catalog.Table { return s.byName[schema+"."+name] }

// Tables lists all system relations.
func (s *Source) Tables() []*catalog.Table { return s.list }

// row is one row by column name; missing columns are null. Values are string, bool,
// int, int16, int32, int64, uint32, float64, []string, []int16, []uint32 or a
// types.Datum of the column's type.
type row map[string]any

// provider makes a relation's rows.
type provider func(s *Source, v View) []row

// Rows gives a relation's content as the session of v sees it.
func (s *Source) Rows(v View, t *catalog.Table) ([][]types.Datum, error) {
	if t.Kind == catalog.KindSequence {
		return sequenceRows(v, t)
	}
	schema := map[uint32]string{catalog.PgCatalogOID: "pg_catalog", catalog.InformationSchemaOID: "information_schema", catalog.HologresSchemaOID: "hologres"}[t.Schema]
	p := providers[schema+"."+t.Name]
	if p == nil {
		return nil, nil
	}
	rows := p(s, v)
	out := make([][]types.Datum, len(rows))
	for i, r := range rows {
		ds := make([]types.Datum, len(t.Columns))
		for k, c := range t.Columns {
			d, err := datum(c.T, r[c.Name])
			if err != nil {
				return nil, fmt.Errorf("%s.%s.%s: %w", schema, t.Name, c.Name, err)
			}
			ds[k] = d
		}
		out[i] = ds
	}
	return out, nil
}

func datum(t types.T, x any) (types.Datum, error) {
	switch v := x.(type) {
	case nil:
		return types.Null, nil
	case types.Datum:
		return v, nil
	case bool:
		return types.NewBool(v), nil
	case int:
		return number(t, int64(v)), nil
	case int16:
		return number(t, int64(v)), nil
	case int32:
		return number(t, int64(v)), nil
	case int64:
		return number(t, v), nil
	case uint32:
		return number(t, int64(v)), nil
	case float64:
		return types.NewFloat(v), nil
	case string:
		if t.Layout == types.LayoutView && !types.IsArray(t.OID) {
			return types.NewString(v), nil
		}
		return types.ParseText(t, v, nil)
	case []string:
		q := make([]string, len(v))
		for i, e := range v {
			q[i] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(e) + `"`
		}
		return types.ParseText(t, "{"+strings.Join(q, ",")+"}", nil)
	case []int16:
		return list(t, v)
	case []uint32:
		return list(t, v)
	}
	return types.Null, fmt.Errorf("no datum of %T", x)
}

func number(t types.T, n int64) types.Datum {
	switch t.Layout {
	case types.LayoutF32, types.LayoutF64:
		return types.NewFloat(float64(n))
	case types.LayoutView:
		return types.NewString(strconv.FormatInt(n, 10))
	}
	return types.NewInt(n)
}

func list[E any](t types.T, v []E) (types.Datum, error) {
	s := make([]string, len(v))
	for i, e := range v {
		s[i] = fmt.Sprint(e)
	}
	if t.OID == types.Int2VectorOID || t.OID == types.OidVectorOID {
		return types.ParseText(t, strings.Join(s, " "), nil)
	}
	return types.ParseText(t, "{"+strings.Join(s, ",")+"}", nil)
}
