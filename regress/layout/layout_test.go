// Package layout is the import lattice as a test: which room may import which,
// where the SQL parser's trees may be seen, and that every package says at its
// door what it is for. The picture is in docs/ARCHITECTURE.md.
package layout

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/millrace/millrace"

// rooms lists for each room the other rooms it may import.
var rooms = map[string][]string{
	"catalog":  {},
	"parser":   {"catalog"}, // for its error codes, see only
	"storage":  {"catalog", "parser"},
	"binlog":   {"catalog", "parser", "storage"},
	"planner":  {"catalog", "parser"},
	"executor": {"catalog", "parser", "storage", "binlog", "planner"},
	"server":   {"catalog", "parser", "storage", "binlog", "planner", "executor"},
	"cmd":      {"catalog", "parser", "storage", "binlog", "planner", "executor", "server"},
	"regress":  {"catalog", "parser", "storage", "binlog", "planner", "executor", "server", "cmd"},
}

// catalogOrder is the order inside catalog: a package imports only those before it.
var catalogOrder = []string{
	"catalog/sqlstate", "catalog/types", "catalog/fn", "catalog/expr", "catalog/stats", "catalog", "catalog/store",
}

// only says, for a folder and all below it, the Millrace packages it may import
// besides those of its own folder.
var only = map[string][]string{
	"parser":           {"catalog/sqlstate", "catalog/types"},
	"storage/vec":      {"catalog/types", "catalog/sqlstate"},
	"server/pgwire":    {"catalog/types", "catalog/sqlstate", "storage/vec", "storage/vec/codec", "server/auth"},
	"server/auth":      {"catalog/sqlstate"},
	"server/admission": {"catalog/sqlstate"},
	"server/httpapi":   {"catalog/sqlstate"},
}

// restricted says which folders may import an outside package.
var restricted = map[string][]string{
	"github.com/pganalyze/pg_query_go": {"parser", "planner/bind"},
	"github.com/cockroachdb/pebble":    {"storage", "catalog/store", "server", "cmd", "regress"},
	"github.com/jackc/pgx":             {"storage/foreign", "binlog/ingest/postgres", "regress"},
}

type pkg struct {
	dir     string              // from the root, with slashes
	imports map[string][]string // of non-test files: path to the files that have it
	tests   map[string][]string
	doc     string
	files   int
}

// load parses the imports and comments of every Go file below root.
func load(t *testing.T, root string) map[string]*pkg {
	t.Helper()
	pkgs := map[string]*pkg{}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			name := d.Name()
			if rel != "." && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" || name == "bin" || name == "node_modules") {
				return filepath.SkipDir
			}
			if rel != "." {
				if m, _ := filepath.Glob(filepath.Join(p, "go.mod")); len(m) > 0 {
					return filepath.SkipDir // a module of its own
				}
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		dir := path.Dir(rel)
		k := pkgs[dir]
		if k == nil {
			k = &pkg{dir: dir, imports: map[string][]string{}, tests: map[string][]string{}}
			pkgs[dir] = k
		}
		into := k.imports
		if strings.HasSuffix(p, "_test.go") {
			into = k.tests
		} else {
			k.files++
		}
		for _, im := range f.Imports {
			q := strings.Trim(im.Path.Value, `"`)
			into[q] = append(into[q], rel)
		}
		if f.Doc != nil {
			k.doc += f.Doc.Text()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return pkgs
}

func room(dir string) string { r, _, _ := strings.Cut(dir, "/"); return r }

func under(dir, folder string) bool { return dir == folder || strings.HasPrefix(dir, folder+"/") }

func underAny(dir string, folders []string) bool {
	return slices.ContainsFunc(folders, func(f string) bool { return under(dir, f) })
}

func ours(imp string) (dir string, ok bool) { return strings.CutPrefix(imp, module+"/") }

// faults lists what is wrong with the imports of package from.
func faults(from *pkg) []string {
	var bad []string
	say := func(imp, why string) { bad = append(bad, from.dir+" imports "+imp+": "+why) }
	for imp := range from.imports {
		for prefix, where := range restricted {
			if strings.HasPrefix(imp, prefix) && !underAny(from.dir, where) {
				say(imp, "allowed only below "+strings.Join(where, ", "))
			}
		}
		to, ok := ours(imp)
		if !ok {
			continue
		}
		allowed, known := rooms[room(from.dir)]
		if !known {
			say(imp, "no such room: "+room(from.dir))
			continue
		}
		if r := room(to); r != room(from.dir) && !slices.Contains(allowed, r) {
			say(imp, room(from.dir)+" may not import "+r)
		}
		if i := slices.Index(catalogOrder, from.dir); i >= 0 && room(to) == "catalog" {
			if j := slices.Index(catalogOrder, to); j < 0 || j >= i {
				say(imp, "inside catalog: "+strings.Join(catalogOrder, " < "))
			}
		}
		for folder, list := range only {
			if under(from.dir, folder) && !under(to, folder) && !slices.Contains(list, to) {
				say(imp, folder+" may import only "+strings.Join(list, ", "))
			}
		}
		if siblings(from.dir, to) {
			say(imp, "siblings stay apart")
		}
	}
	slices.Sort(bad)
	return bad
}

// siblings says whether two folders are connectors, sources or sinks of the same kind.
func siblings(a, b string) bool {
	if a == b || path.Dir(a) != path.Dir(b) {
		return false
	}
	switch path.Dir(a) {
	case "storage/foreign", "binlog/ingest":
		return true
	}
	return false
}

func TestLattice(t *testing.T) {
	for _, p := range load(t, "../..") {
		for _, f := range faults(p) {
			t.Error(f)
		}
	}
}

func TestPackageComments(t *testing.T) {
	for _, p := range load(t, "../..") {
		if p.files > 0 && strings.TrimSpace(p.doc) == "" {
			t.Errorf("%s: no package comment", p.dir)
		}
	}
}

// The lattice test must be able to fail.
func TestFaults(t *testing.T) {
	cases := []struct {
		dir, imp string
		bad      bool
	}{
		{"planner", module + "/storage/vec", true},
		{"planner/bind", module + "/catalog", false},
		{"planner/bind", "github.com/pganalyze/pg_query_go/v5", false},
		{"planner/pass", "github.com/pganalyze/pg_query_go/v5", true},
		{"catalog/types", module + "/catalog/fn", true},
		{"catalog/fn", module + "/catalog/types", false},
		{"storage/vec/kernel", module + "/catalog/expr", true},
		{"storage/vec/kernel", module + "/storage/vec", false},
		{"storage/foreign/mysql", module + "/storage/foreign/postgres", true},
		{"executor/op", module + "/server/session", true},
		{"server/pgwire", module + "/server/httpapi", true},
		{"misc", module + "/catalog", true},
	}
	for _, c := range cases {
		got := faults(&pkg{dir: c.dir, imports: map[string][]string{c.imp: nil}})
		if (len(got) > 0) != c.bad {
			t.Errorf("%s -> %s: faults %v, want bad=%v", c.dir, c.imp, got, c.bad)
		}
	}
}
