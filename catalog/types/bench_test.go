package types

import "testing"

const eventJSON = `{"id":"2489651045","type":"CreateEvent","actor":{"id":665991,"login":"petroav","gravatar_id":"","url":"https://api.github.com/users/petroav","avatar_url":"https://avatars.githubusercontent.com/u/665991?"},"repo":{"id":28688495,"name":"petroav/6.828","url":"https://api.github.com/repos/petroav/6.828"},"payload":{"ref":"master","ref_type":"branch","master_branch":"master","description":"Solution to homework and assignments from MIT's 6.828 (Operating Systems Engineering). Done in my spare time.","pusher_type":"user"},"public":true,"created_at":"2015-01-01T15:00:00Z"}`

func BenchmarkJSONBParse(b *testing.B) {
	s := []byte(eventJSON)
	var dst []byte
	b.SetBytes(int64(len(s)))
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if dst, err = ParseJSONB(dst[:0], s); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkJSONBField(b *testing.B) {
	j, _ := ParseJSONB(nil, []byte(eventJSON))
	actor, login := []byte("actor"), []byte("login")
	b.ReportAllocs()
	for b.Loop() {
		if JSONNode(j).Field(actor).Field(login) == nil {
			b.Fatal("no login")
		}
	}
}

func BenchmarkJSONBText(b *testing.B) {
	j, _ := ParseJSONB(nil, []byte(eventJSON))
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendJSONB(dst[:0], j)
	}
}

func BenchmarkTimestamptzText(b *testing.B) {
	loc, _ := LoadZone("America/New_York")
	env := &Env{TimeZone: loc}
	var buf [64]byte
	b.ReportAllocs()
	for b.Loop() {
		AppendTimestamptz(buf[:0], 123456789012345, env)
	}
}
