package session

import (
	"cmp"
	"slices"
	"sort"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/foreign/syscat"
)

// Catalog, Store and the other methods here implement syscat.View.
func (s *Session) Catalog() *catalog.Version { return s.catalog() }

// Store implements View.
func (s *Session) Store() storage.Store { return s.eng.Store }

// User implements View.
func (s *Session) User() *catalog.Role { return s.user }

// Database implements View.
func (s *Session) Database() string { return s.db }

// SearchPath implements View.
func (s *Session) SearchPath() []string {
	p := s.resolvePath()
	if p.temp == "" || slices.Contains(p.schemas, p.temp) {
		return p.schemas
	}
	return append([]string{p.temp}, p.schemas...)
}

// TempSchema implements View.
func (s *Session) TempSchema() string { return s.resolvePath().temp }

// SessionUser implements View.
func (s *Session) SessionUser() string { return s.auth }

// Subscription implements View.
func (s *Session) Subscription(oid uint32) *syscat.SubscriptionInfo {
	if s.eng.Subscription == nil {
		return nil
	}
	return s.eng.Subscription(oid)
}

// ReplicationSlots implements View.
func (s *Session) ReplicationSlots() []syscat.SlotInfo {
	if s.eng.Slots == nil {
		return nil
	}
	var out []syscat.SlotInfo
	for _, x := range s.eng.Slots.List() {
		i := syscat.SlotInfo{Name: x.Name, Plugin: x.Plugin, Restart: slices.Min(x.Pos.LSN)}
		if t := s.catalog().Table(x.Table); t != nil {
			i.Table = t.Name
		}
		if x.Lost != nil {
			i.Lost = x.Lost.Error()
		}
		out = append(out, i)
	}
	return out
}

// StartTime implements View.
func (s *Session) StartTime() int64 { return s.eng.Started }

// PID implements View.
func (s *Session) PID() int32 { return s.pid }

// Now implements View.
func (s *Session) Now() int64 { return s.txnStart }

// Setting implements View.
func (s *Session) Setting(name string) (string, bool) {
	if _, ok := s.set.get(name); !ok {
		return "", false
	}
	v, err := s.set.show(name)
	return v, err == nil
}

// SetSetting implements View.
func (s *Session) SetSetting(name, value string, local bool) error {
	if err := s.set.set(name, value, s.touched, local); err != nil {
		return err
	}
	s.changed(name)
	return nil
}

// Settings implements View.
func (s *Session) Settings() []SettingInfo {
	var out []SettingInfo
	for _, k := range s.set.all() {
		out = append(out, SettingInfo{Name: shown(k.name), Value: s.set.text(k.name), Unit: k.unit, Default: k.def, Reset: s.set.resetTo(k.name), Short: k.short})
	}
	return out
}

// Activity implements View. A user who is no superuser sees only own queries' text.
func (s *Session) Activity() []Activity {
	s.eng.mu.Lock()
	all := make([]*Session, 0, len(s.eng.sessions))
	for _, o := range s.eng.sessions {
		all = append(all, o)
	}
	s.eng.mu.Unlock()
	out := make([]Activity, 0, len(all))
	for _, o := range all {
		o.mu.Lock()
		a := o.act
		o.mu.Unlock()
		if !s.user.Super && a.User != s.user.Name {
			a.Query, a.ClientAddr = "<insufficient privilege>", ""
		}
		out = append(out, a)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].PID < out[j].PID })
	return out
}

// AdvisoryLocks implements View.
func (s *Session) AdvisoryLocks() []syscat.AdvisoryLock {
	out := s.eng.advisory.list()
	sort.Slice(out, func(i, j int) bool {
		a, b := out[i], out[j]
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.WaitStart, b.WaitStart), cmp.Compare(a.PID, b.PID)) < 0
	})
	return out
}

// PreparedStatements implements View.
func (s *Session) PreparedStatements() []PreparedInfo {
	var out []PreparedInfo
	for n, p := range s.stmts {
		if n != "" {
			out = append(out, PreparedInfo{Name: n, Text: p.sql, Params: p.oids, Time: p.made})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// Cursors implements View.
func (s *Session) Cursors() []PreparedInfo {
	var out []PreparedInfo
	for n, p := range s.portals {
		if n != "" {
			out = append(out, PreparedInfo{Name: n, Text: p.stmt.sql, Time: p.stmt.made})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// mayReach says whether the session may cancel another's query: its own role's, or
// any for a superuser.
func (s *Session) mayReach(pid int32) bool {
	s.eng.mu.Lock()
	o := s.eng.sessions[pid]
	s.eng.mu.Unlock()
	return o == nil || s.user.Super || o.user.OID == s.user.OID
}

// CancelBackend implements View.
func (s *Session) CancelBackend(pid int32, terminate bool) (bool, error) {
	if !s.mayReach(pid) {
		return false, sqlstate.Errorf(sqlstate.InsufficientPrivilege, "permission denied to cancel query")
	}
	if s.eng.CancelBackend == nil {
		return false, nil
	}
	return s.eng.CancelBackend(pid, terminate), nil
}
