package format

import (
	"bytes"
	"encoding/base64"

	"github.com/millrace/millrace/binlog/format/jsonscan"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
)

func init() {
	Register(&Format{Name: "debezium-json", New: newDebezium, Options: []string{
		"decimal_handling_mode", "time_precision_mode", "binary_handling_mode", "unavailable_value", "source_tables"}})
}

// debezium reads Debezium's change events as JSON, with Kafka Connect's schema around
// them or without. With a schema each value's encoding is known; without one it
// follows from the column's type and the options, which say what the connector was
// configured for.
type debezium struct {
	*rows
	keys    *keyReader
	schemas *schemas
	top     fields
	origin  fields
	cols    fields
	after   []jsonscan.Value
	before  []jsonscan.Value

	// prefix is the beginning of the last message with a schema, up to its payload:
	// the schema is most of a message and always the same.
	prefix     []byte
	prefixPlan *schemaPlan

	// route, when there is one, says which tables of the source are read.
	route *route

	ev event
}

// event is what one envelope says beside the images.
type event struct {
	op                jsonscan.Value
	before, after     jsonscan.Kind
	sourceTime, time  int64 // µs since 1970, 0 when not given
	status, ddl, tsMS bool
	other             bool // of a table that is not read
	rest              []byte
}

// The keys of envelopes.
const (
	dbzBefore = iota
	dbzAfter
	dbzSource
	dbzOp
	dbzMillis
	dbzMicros
	dbzNanos
	dbzSchema
	dbzPayload
	dbzStatus
	dbzDDL
)

func newDebezium(cfg *Config) (Decoder, error) {
	d := &debezium{rows: newRows(cfg)}
	d.top = newFields("before", "after", "source", "op", "ts_ms", "ts_us", "ts_ns", "schema", "payload", "status", "ddl")
	d.origin = newFields("ts_ms", "ts_us", "ts_ns")
	d.cols = fields{byName: map[string]int{}}
	for i, n := range d.names {
		if cfg.Unknown != RescueUnknown || i != cfg.Rescue {
			d.cols.byName[n] = i
		}
	}
	decimals, times, bin, placeholder := "precise", "adaptive", "bytes", "__debezium_unavailable_value"
	err := choose(cfg.Options,
		choice{"decimal_handling_mode", &decimals, []string{"precise", "string", "double"}},
		choice{"time_precision_mode", &times, []string{"adaptive", "adaptive_time_microseconds", "connect", "isostring", "microseconds", "nanoseconds"}},
		choice{"binary_handling_mode", &bin, []string{"bytes", "base64", "hex"}},
		choice{"unavailable_value", &placeholder, nil})
	if err != nil {
		return nil, err
	}
	if list, ok := cfg.Options["source_tables"]; ok {
		if d.route, err = newRoute(list); err != nil {
			return nil, err
		}
	}
	d.coerce.unit = unitAdaptive
	timeUnit, stampUnit := unitAdaptive, unitAdaptive
	switch times {
	case "adaptive_time_microseconds":
		timeUnit = unitMicros
	case "connect":
		timeUnit, stampUnit = unitMillis, unitMillis
	case "microseconds":
		timeUnit, stampUnit = unitMicros, unitMicros
	case "nanoseconds":
		timeUnit, stampUnit = unitNanos, unitNanos
	}
	d.puts = d.makePuts(func(t types.T) encoding {
		elem := false
		if e := types.ElemOf(t.OID); e != 0 {
			t, elem = types.ElemType(e), true
		}
		e := encoding{}
		switch t.OID {
		case types.NumericOID:
			if decimals == "precise" {
				e = encoding{kind: encDecimal, scale: fromColumn}
			}
		case types.DateOID:
			e = encoding{kind: encDays}
		case types.TimeOID:
			e = encoding{kind: encTime, unit: timeUnit}
		case types.TimestampOID, types.TimestamptzOID:
			e = encoding{kind: encTimestamp, unit: stampUnit}
		case types.IntervalOID:
			e = encoding{kind: encDuration, unit: unitMicros}
		case types.JSONOID, types.JSONBOID:
			e = encoding{kind: encJSON}
		case types.ByteaOID:
			e = encoding{kind: encBase64}
			if bin == "hex" {
				e.kind = encHex
			}
		}
		if elem {
			return encoding{item: &e}
		}
		return e
	})
	quoted := types.AppendJSONString(nil, []byte(placeholder))
	inner := string(quoted[1 : len(quoted)-1])
	d.unavailable = [][]byte{
		[]byte(inner),
		[]byte(base64.StdEncoding.EncodeToString([]byte(placeholder))),
		[]byte("[" + string(quoted) + "]"),
		[]byte("{" + string(quoted) + ":" + string(quoted) + "}"),
	}
	d.schemas = &schemas{r: d.rows}
	d.keys = newKeyReader(d.rows, false, d.puts, d.schemas)
	d.after = make([]jsonscan.Value, len(d.names))
	d.before = make([]jsonscan.Value, len(d.names))
	return d, nil
}

// Decode implements Decoder.
func (d *debezium) Decode(msgs []Message, c *Changes) (int, error) {
	for i := range msgs {
		if c.Rows.N >= batchRows {
			return i, nil
		}
		m := &msgs[i]
		d.begin(c, c.Base+uint32(i))
		var err error
		if m.Value == nil {
			err = d.tombstone(msgs, i)
		} else {
			err = d.message(m)
		}
		if err != nil {
			d.fail(err)
		}
	}
	return len(msgs), nil
}

// tombstone follows a delete event of its key, which it repeats; after a topic was
// compacted only the tombstone is left, and it is the delete.
func (d *debezium) tombstone(msgs []Message, i int) error {
	m := &msgs[i]
	if d.cfg.Append || m.Key == nil || d.route != nil { // its key does not tell the table
		d.c.Skipped++
		return nil
	}
	if n := len(d.c.Op); i > 0 && n > 0 && d.c.Op[n-1] == Delete && d.c.Msg[n-1] == d.msg-1 && bytes.Equal(msgs[i-1].Key, m.Key) {
		d.c.Skipped++
		return nil
	}
	return d.deleteByKey(d.keys, m, 0)
}

func (d *debezium) message(m *Message) error {
	s := d.scan
	if d.prefix != nil && bytes.HasPrefix(m.Value, d.prefix) {
		s.ResetAt(m.Value, len(d.prefix))
		if s.Peek() == jsonscan.Object {
			if err := d.envelope(d.prefixPlan); err != nil {
				return err
			}
			s.Member(false)
			if !s.End() {
				return malformed(s.Err())
			}
			return d.apply(m, d.prefixPlan)
		}
	}
	s.Reset(m.Value)
	if s.Peek() != jsonscan.Object {
		if !s.More() && s.Err() == nil {
			return malformedf("the message is empty")
		}
		x := s.Value()
		if !s.End() {
			return malformed(s.Err())
		}
		return malformedf("the message is %s, not a change event", x.Kind)
	}
	s.Open()
	key, ok := s.Member(true)
	if ok && string(s.Bytes(key)) == "schema" {
		return d.withSchema(m)
	}
	s.Seek(0)
	s.Peek()
	if err := d.envelope(nil); err != nil {
		return err
	}
	if !s.End() {
		return malformed(s.Err())
	}
	return d.apply(m, nil)
}

// withSchema reads {"schema":…,"payload":…}, up to the value of schema read already.
func (d *debezium) withSchema(m *Message) error {
	s := d.scan
	schema := s.Value()
	key, ok := s.Member(false)
	if !ok || string(s.Bytes(key)) != "payload" {
		if s.Err() != nil {
			return malformed(s.Err())
		}
		return malformedf("a schema without a payload behind it")
	}
	at := s.Offset()
	var plan *schemaPlan
	if schema.Kind == jsonscan.Object {
		var err error
		if plan, err = d.schemas.of(s.Bytes(schema)); err != nil {
			return malformed(err)
		}
	}
	if s.Peek() == jsonscan.Null { // a tombstone in an envelope
		s.Value()
		s.Member(false)
		if !s.End() {
			return malformed(s.Err())
		}
		if d.cfg.Append || m.Key == nil || d.route != nil {
			d.c.Skipped++
			return nil
		}
		return d.deleteByKey(d.keys, m, 0)
	}
	if s.Peek() != jsonscan.Object {
		x := s.Value()
		if s.Err() != nil {
			return malformed(s.Err())
		}
		return malformedf("the payload is %s, not a change event", x.Kind)
	}
	if err := d.envelope(plan); err != nil {
		return err
	}
	s.Member(false)
	if !s.End() {
		return malformed(s.Err())
	}
	if plan != nil {
		d.prefix, d.prefixPlan = append(d.prefix[:0], m.Value[:at]...), plan
	}
	return d.apply(m, plan)
}

// envelope reads the object that the scanner stands at.
func (d *debezium) envelope(plan *schemaPlan) error {
	s := d.scan
	d.ev = event{}
	clear(d.after)
	clear(d.before)
	if d.route != nil && d.route.other(s) {
		d.ev.other = true
		return nil
	}
	s.Open()
	for pos := 0; ; pos++ {
		slot, ok := d.top.next(s, pos)
		if !ok {
			key, ok := s.Member(pos == 0)
			if !ok {
				break
			}
			slot = d.top.slot(pos, s.Bytes(key))
		}
		switch slot {
		case dbzBefore:
			d.ev.before = s.Peek()
			if d.ev.before == jsonscan.Object {
				d.image(d.before)
			} else {
				s.Value()
			}
		case dbzAfter:
			d.ev.after = s.Peek()
			if d.ev.after == jsonscan.Object {
				if d.cfg.Unknown == IgnoreUnknown {
					d.image(d.after)
				} else if err := d.imageAndRest(d.after, plan); err != nil {
					return err
				}
			} else {
				s.Value()
			}
		case dbzSource:
			if s.Peek() == jsonscan.Object {
				d.source()
			} else {
				s.Value()
			}
		case dbzOp:
			d.ev.op = s.Value()
		case dbzMillis:
			d.ev.tsMS = true
			stamp(&d.ev.time, s, s.Value(), unitMillis)
		case dbzMicros:
			stamp(&d.ev.time, s, s.Value(), unitMicros)
		case dbzNanos:
			stamp(&d.ev.time, s, s.Value(), unitNanos)
		case dbzStatus:
			d.ev.status = s.Value().Kind == jsonscan.String
		case dbzDDL:
			d.ev.ddl = true
			s.Value()
		default:
			s.Value()
		}
	}
	if s.Err() != nil {
		return malformed(s.Err())
	}
	return nil
}

// image notes where the columns' values of a row are.
func (d *debezium) image(slots []jsonscan.Value) {
	s := d.scan
	s.Open()
	for pos := 0; ; pos++ {
		i, ok := d.cols.next(s, pos)
		if !ok {
			key, ok := s.Member(pos == 0)
			if !ok {
				return
			}
			name := s.Bytes(key)
			if key.Escaped {
				name, _ = d.coerce.text(key)
			}
			i = d.cols.slot(pos, name)
		}
		x := s.Value()
		if i >= 0 {
			slots[i] = x
		}
	}
}

// imageAndRest is image that also sees to the fields without a column.
func (d *debezium) imageAndRest(slots []jsonscan.Value, plan *schemaPlan) error {
	s := d.scan
	s.Open()
	any := false
	pos := 0
	for first := true; ; first = false {
		key, ok := s.Member(first)
		if !ok {
			break
		}
		name, err := d.coerce.unescaped(s, key)
		if err != nil {
			return malformed(err)
		}
		i := d.cols.slot(pos, name)
		pos++
		if i >= 0 {
			slots[i] = s.Value()
			continue
		}
		if d.cfg.Unknown == ReportUnknown {
			x := s.Value()
			var known *types.T
			if plan != nil {
				if t, ok := plan.types[string(name)]; ok {
					known = &t
				}
			}
			d.report(name, x, known)
			continue
		}
		if !any {
			any = true
			d.rest.Reset()
			d.rest.BeginObject()
		}
		d.rest.Key(name)
		if err := d.coerce.build(&d.rest, s); err != nil {
			return malformed(err)
		}
	}
	if any && s.Err() == nil {
		d.rest.End()
		var err error
		if d.ev.rest, err = d.rest.Finish(); err != nil {
			return malformed(err)
		}
	}
	return nil
}

// source reads when the source committed.
func (d *debezium) source() {
	s := d.scan
	s.Open()
	for pos := 0; ; pos++ {
		i, ok := d.origin.next(s, pos)
		if !ok {
			key, ok := s.Member(pos == 0)
			if !ok {
				return
			}
			i = d.origin.slot(pos, s.Bytes(key))
		}
		x := s.Value()
		switch i {
		case 0:
			stamp(&d.ev.sourceTime, s, x, unitMillis)
		case 1:
			stamp(&d.ev.sourceTime, s, x, unitMicros)
		case 2:
			stamp(&d.ev.sourceTime, s, x, unitNanos)
		}
	}
}

// stamp sets to from a number, where it is finer than what is there.
func stamp(to *int64, s *jsonscan.Scanner, x jsonscan.Value, u unit) {
	if x.Kind != jsonscan.Number {
		return
	}
	if us, err := micros(s.Bytes(x), u); err == nil && us > *to {
		*to = us
	}
}

// apply makes the changes that the event stands for.
func (d *debezium) apply(m *Message, plan *schemaPlan) error {
	ev := &d.ev
	if ev.other {
		d.c.Skipped++
		return nil
	}
	time := ev.sourceTime
	if time == 0 {
		time = ev.time
	}
	if time != 0 {
		time += types.UnixEpochMicros
	}
	op := d.scan.Bytes(ev.op)
	if ev.op.Kind != jsonscan.String || len(op) != 1 {
		switch {
		case ev.op.Kind == jsonscan.None && ev.after == jsonscan.None && (ev.status || ev.ddl || ev.tsMS):
			// The begin or end of a transaction, a schema change, a heartbeat.
			d.c.Skipped++
			return nil
		case ev.op.Kind == jsonscan.None:
			return malformedf("the message is no change event: it has no field op")
		}
		return malformedf("unknown op: %s", excerpt(op))
	}
	puts := d.puts
	if plan != nil {
		puts = plan.puts
	}
	after, before := source{d.after, puts}, source{d.before, puts}
	switch op[0] {
	case 'c', 'r', 'u':
		if ev.after != jsonscan.Object {
			if ev.after == jsonscan.String {
				return malformedf("after is text, as in change events of MongoDB, which this format does not read")
			}
			return schemaFault("", "an event of op %s without after", op)
		}
		how := Upsert
		if d.cfg.Append {
			how = Insert
		} else if ev.before == jsonscan.Object && d.keyMoved() {
			if err := d.delete(before, time); err != nil {
				return err
			}
		}
		return d.row(after, how, time, d.keys, m, ev.rest)
	case 'd':
		if d.cfg.Append {
			return schemaFault("", "an event deletes a row, and the subscription only appends")
		}
		if ev.before != jsonscan.Object || !d.hasKey(d.before) {
			return d.deleteByKey(d.keys, m, time)
		}
		return d.delete(before, time)
	case 't':
		if d.cfg.Append {
			return schemaFault("", "an event empties the table, and the subscription only appends")
		}
		d.truncate(time)
		return nil
	case 'm':
		d.c.Skipped++
		return nil
	}
	return malformedf("unknown op: %s", excerpt(op))
}

func (d *debezium) hasKey(slots []jsonscan.Value) bool {
	for _, k := range d.cfg.Table.PK {
		if slots[k].Kind <= jsonscan.Null {
			return false
		}
	}
	return true
}

// keyMoved says whether the images have different keys. Different spellings of one
// value count as different, which costs a delete that the upsert makes good.
func (d *debezium) keyMoved() bool {
	if !d.hasKey(d.before) {
		return false
	}
	for _, k := range d.cfg.Table.PK {
		a, b := d.before[k], d.after[k]
		if b.Kind != jsonscan.None && !bytes.Equal(d.scan.Bytes(a), d.scan.Bytes(b)) {
			return true
		}
	}
	return false
}

// choice is an option with a set of values; nil for any.
type choice struct {
	name   string
	value  *string
	values []string
}

// choose reads options by name.
func choose(options map[string]string, choices ...choice) error {
	for _, ch := range choices {
		v, ok := options[ch.name]
		if !ok {
			continue
		}
		found := ch.values == nil
		list := ""
		for _, w := range ch.values {
			found = found || v == w
			if list != "" {
				list += ", "
			}
			list += w
		}
		if !found {
			return sqlstate.Errorf(sqlstate.InvalidParameterValue, "invalid value for option \"%s\": \"%s\"", ch.name, v).
				WithHint("Available values: %s.", list)
		}
		*ch.value = v
	}
	return nil
}
