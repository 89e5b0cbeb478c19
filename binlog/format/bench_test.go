package format

import (
	"fmt"
	"syscall"
	"testing"
)

// cpu is the processor time of the process, which a busy machine does not stretch.
func cpu() int64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}

func benchDecode(b *testing.B, format, cols string, opts string, one func(i int) string) {
	tab := table(1, cols)
	d, err := Lookup(format).New(&Config{Table: tab, Options: options(opts)})
	if err != nil {
		b.Fatal(err)
	}
	var msgs []Message
	size := 0
	for i := range 2048 {
		x := []byte(one(i))
		size += len(x)
		msgs = append(msgs, Message{Key: fmt.Appendf(nil, `{"id":%d}`, i), Value: x})
	}
	c := NewChanges(tab)
	b.ReportAllocs()
	b.ResetTimer()
	start := cpu()
	n := 0
	for n < b.N {
		c.Reset()
		used, _ := d.Decode(msgs, c)
		if len(c.Errors) > 0 {
			b.Fatal(c.Errors[0].Err)
		}
		n += used
	}
	b.ReportMetric(float64(cpu()-start)/float64(n), "cpu-ns/msg")
	b.ReportMetric(float64(size/len(msgs)), "B/msg")
}

const benchColumns = "id int8, customer_id int4, driver_id int4, city text, status text, fare numeric(10;2), distance float8, created_at timestamp, updated_at timestamptz, note text"

func benchRow(i int) string {
	return fmt.Sprintf(`{"id":%d,"customer_id":%d,"driver_id":%d,"city":"Amsterdam","status":"dispatched","fare":"MDk=","distance":%d.25,"created_at":%d,"updated_at":"2026-11-21T10:00:00.123456Z","note":null}`,
		i, i%1000, i%77, i%30, 1790000000000000+i)
}

func BenchmarkDebezium(b *testing.B) {
	benchDecode(b, "debezium-json", benchColumns, "", func(i int) string { return dbz("u", "null", benchRow(i)) })
}

func BenchmarkDebeziumBefore(b *testing.B) {
	benchDecode(b, "debezium-json", benchColumns, "", func(i int) string { return dbz("u", benchRow(i), benchRow(i)) })
}

func BenchmarkDebeziumSchema(b *testing.B) {
	const fields = `{"type":"int64","field":"id"},{"type":"int32","field":"customer_id"},{"type":"int32","field":"driver_id"},{"type":"string","field":"city"},{"type":"string","field":"status"},{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"2"},"field":"fare"},{"type":"double","field":"distance"},{"type":"int64","name":"io.debezium.time.MicroTimestamp","field":"created_at"},{"type":"string","name":"io.debezium.time.ZonedTimestamp","field":"updated_at"},{"type":"string","field":"note"}`
	benchDecode(b, "debezium-json", benchColumns, "", func(i int) string { return withSchemaText(fields, "u", "null", benchRow(i)) })
}

func BenchmarkJSON(b *testing.B) {
	benchDecode(b, "json", benchColumns, "timestamp_unit=us", func(i int) string {
		return fmt.Sprintf(`{"id":%d,"customer_id":%d,"driver_id":%d,"city":"Amsterdam","status":"dispatched","fare":123.45,"distance":%d.25,"created_at":%d,"updated_at":"2026-11-21T10:00:00.123456Z","note":null}`,
			i, i%1000, i%77, i%30, 1790000000000000+i)
	})
}

func BenchmarkJSONB(b *testing.B) {
	benchDecode(b, "json", "id int8, payload jsonb", "", func(i int) string {
		return fmt.Sprintf(`{"id":%d,"payload":{"ref":"main","size":%d,"commits":[{"sha":"0a1b2c3d4e5f60718293","message":"fix\nthings","distinct":true}],"user":{"login":"octo","id":%d}}}`, i, i%5, i)
	})
}
