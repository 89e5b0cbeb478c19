package codec

import (
	"strings"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// CopyFormat is the form of COPY's data.
type CopyFormat uint8

// The formats.
const (
	CopyText CopyFormat = iota
	CopyCSV
	CopyBinary
)

// CopyHeader says what the first line is.
type CopyHeader uint8

// The headers. HeaderMatch, for COPY FROM, insists that the line holds the
// names of the columns.
const (
	HeaderNone CopyHeader = iota
	HeaderTrue
	HeaderMatch
)

// CopyOptions are the options of COPY, as PostgreSQL 16 has them. Make them with
// DefaultCopyOptions or ParseCopyOptions; the column lists are resolved to flags
// by Resolve.
type CopyOptions struct {
	Format    CopyFormat
	Delimiter byte
	Null      string
	Default   *string // the text that stands for a column's default; nil: none
	Header    CopyHeader
	Quote     byte
	Escape    byte

	ForceQuoteAll bool
	// The columns of FORCE_QUOTE, FORCE_NOT_NULL and FORCE_NULL by name, and
	// as one flag per column of the command once resolved (nil: none).
	ForceQuote, ForceNotNull, ForceNull             []string
	forceQuoteFlag, forceNotNullFlag, forceNullFlag []bool
}

// DefaultCopyOptions are the options that a format has when none is given.
func DefaultCopyOptions(f CopyFormat) CopyOptions {
	if f == CopyCSV {
		return CopyOptions{Format: f, Delimiter: ',', Quote: '"', Escape: '"'}
	}
	return CopyOptions{Format: f, Delimiter: '\t', Null: `\N`}
}

// CopyOption is one option as written: its lower-case name, whether a value was
// given, the value's text, and for the lists their members (nil with Star for *).
type CopyOption struct {
	Name     string
	HasValue bool
	Value    string
	List     []string
	IsList   bool
	Star     bool
}

func syntax(format string, args ...any) error {
	return sqlstate.Errorf(sqlstate.SyntaxError, format, args...)
}

func badOption(format string, args ...any) error {
	return sqlstate.Errorf(sqlstate.InvalidParameterValue, format, args...)
}

func unsupported(format string, args ...any) error {
	return sqlstate.Errorf(sqlstate.FeatureNotSupported, format, args...)
}

// ParseCopyOptions checks the options of a COPY FROM (from) or COPY TO.
func ParseCopyOptions(opts []CopyOption, from bool) (CopyOptions, error) {
	var o CopyOptions
	seen := map[string]bool{}
	var delim, null, quote, escape *string
	var header *CopyHeader
	for i := range opts {
		p := &opts[i]
		if seen[p.Name] {
			return o, syntax("conflicting or redundant options")
		}
		seen[p.Name] = true
		text := func(to **string) error {
			if !p.HasValue {
				return syntax("%s requires a parameter", p.Name)
			}
			*to = &p.Value
			return nil
		}
		list := func(to *[]string) error {
			if !p.IsList {
				return badOption("argument to option \"%s\" must be a list of column names", p.Name)
			}
			*to = p.List
			return nil
		}
		var err error
		switch p.Name {
		case "format":
			if !p.HasValue {
				return o, syntax("%s requires a parameter", p.Name)
			}
			switch p.Value {
			case "text":
			case "csv":
				o.Format = CopyCSV
			case "binary":
				o.Format = CopyBinary
			default:
				return o, badOption("COPY format \"%s\" not recognized", p.Value)
			}
		case "freeze":
			_, err = copyBool(p)
		case "delimiter":
			err = text(&delim)
		case "null":
			err = text(&null)
		case "default":
			err = text(&o.Default)
		case "header":
			h := HeaderNone
			if strings.EqualFold(p.Value, "match") {
				if h = HeaderMatch; !from {
					return o, sqlstate.Errorf(sqlstate.FeatureNotSupported, "cannot use \"%s\" with HEADER in COPY TO", p.Value)
				}
			} else if on, e := copyBool(p); e != nil {
				return o, syntax("%s requires a Boolean value or \"match\"", p.Name)
			} else if on {
				h = HeaderTrue
			}
			header = &h
		case "quote":
			err = text(&quote)
		case "escape":
			err = text(&escape)
		case "force_quote":
			if p.Star {
				o.ForceQuoteAll = true
			} else {
				err = list(&o.ForceQuote)
			}
		case "force_not_null":
			err = list(&o.ForceNotNull)
		case "force_null":
			err = list(&o.ForceNull)
		case "encoding":
			switch strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(p.Value)) {
			case "utf8", "unicode", "sqlascii":
			default:
				return o, sqlstate.Unsupported("COPY encoding \"%s\"", p.Value)
			}
		default:
			return o, syntax("option \"%s\" not recognized", p.Name)
		}
		if err != nil {
			return o, err
		}
	}
	return o, o.fill(delim, null, quote, escape, header, from)
}

func copyBool(p *CopyOption) (bool, error) {
	if !p.HasValue {
		return true, nil
	}
	switch strings.ToLower(p.Value) {
	case "true", "on", "1":
		return true, nil
	case "false", "off", "0":
		return false, nil
	}
	return false, syntax("%s requires a Boolean value", p.Name)
}

// fill sets defaults and makes PostgreSQL's checks in PostgreSQL's order.
func (o *CopyOptions) fill(delim, null, quote, escape *string, header *CopyHeader, from bool) error {
	if o.Format == CopyBinary {
		for _, n := range [...]struct {
			given bool
			name  string
		}{{delim != nil, "DELIMITER"}, {null != nil, "NULL"}, {o.Default != nil, "DEFAULT"}, {header != nil && *header != HeaderNone, "HEADER"}} {
			if n.given {
				if n.name == "HEADER" {
					return unsupported("cannot specify %s in BINARY mode", n.name)
				}
				return syntax("cannot specify %s in BINARY mode", n.name)
			}
		}
	}
	d := DefaultCopyOptions(o.Format)
	text := func(p *string, def string) string {
		if p == nil {
			return def
		}
		return *p
	}
	ds := text(delim, string(rune(d.Delimiter)))
	o.Null = text(null, d.Null)
	if header != nil {
		o.Header = *header
	}
	csv := o.Format == CopyCSV
	qs, es := "", ""
	if csv {
		qs = text(quote, `"`)
		es = text(escape, qs)
	}
	switch {
	case len(ds) != 1:
		return unsupported("COPY delimiter must be a single one-byte character")
	case ds == "\r" || ds == "\n":
		return badOption("COPY delimiter cannot be newline or carriage return")
	case strings.ContainsAny(o.Null, "\r\n"):
		return badOption("COPY null representation cannot use newline or carriage return")
	case o.Default != nil && strings.ContainsAny(*o.Default, "\r\n"):
		return badOption("COPY default representation cannot use newline or carriage return")
	case !csv && strings.Contains("\\.abcdefghijklmnopqrstuvwxyz0123456789", ds):
		return badOption("COPY delimiter cannot be \"%s\"", ds)
	case !csv && quote != nil:
		return unsupported("COPY quote available only in CSV mode")
	case csv && len(qs) != 1:
		return unsupported("COPY quote must be a single one-byte character")
	case csv && ds == qs:
		return badOption("COPY delimiter and quote must be different")
	case !csv && escape != nil:
		return unsupported("COPY escape available only in CSV mode")
	case csv && len(es) != 1:
		return unsupported("COPY escape must be a single one-byte character")
	case !csv && (o.ForceQuoteAll || o.ForceQuote != nil):
		return unsupported("COPY force quote available only in CSV mode")
	case from && (o.ForceQuoteAll || o.ForceQuote != nil):
		return unsupported("COPY force quote only available using COPY TO")
	case !csv && o.ForceNotNull != nil:
		return unsupported("COPY force not null available only in CSV mode")
	case !from && o.ForceNotNull != nil:
		return unsupported("COPY force not null only available using COPY FROM")
	case !csv && o.ForceNull != nil:
		return unsupported("COPY force null available only in CSV mode")
	case !from && o.ForceNull != nil:
		return unsupported("COPY force null only available using COPY FROM")
	case o.Format != CopyBinary && strings.Contains(o.Null, ds):
		return unsupported("COPY delimiter must not appear in the NULL specification")
	case csv && strings.Contains(o.Null, qs):
		return unsupported("CSV quote character must not appear in the NULL specification")
	}
	if o.Default != nil {
		switch {
		case !from:
			return unsupported("COPY DEFAULT only available using COPY FROM")
		case strings.Contains(*o.Default, ds):
			return unsupported("COPY delimiter must not appear in the DEFAULT specification")
		case csv && strings.Contains(*o.Default, qs):
			return unsupported("CSV quote must not appear in the DEFAULT specification")
		case *o.Default == o.Null:
			return unsupported("NULL specification and DEFAULT specification cannot be the same")
		}
	}
	o.Delimiter = ds[0]
	if csv {
		o.Quote, o.Escape = qs[0], es[0]
	}
	return nil
}

// resolve turns the column lists into flags over the command's columns. table is
// for messages; "" for a query's result. (A column that the table has but the
// command does not name is the caller's to refuse: only it knows the table.)
func (o *CopyOptions) resolve(cols []CopyColumn, table string) error {
	flags := func(names []string) ([]bool, error) {
		if names == nil {
			return nil, nil
		}
		f := make([]bool, len(cols))
	next:
		for _, n := range names {
			for i := range cols {
				if cols[i].Name == n {
					f[i] = true
					continue next
				}
			}
			if table == "" {
				return nil, sqlstate.Errorf(sqlstate.UndefinedColumn, "column \"%s\" does not exist", n)
			}
			return nil, sqlstate.Errorf(sqlstate.UndefinedColumn, "column \"%s\" of relation \"%s\" does not exist", n, table)
		}
		return f, nil
	}
	var err error
	if o.forceQuoteFlag, err = flags(o.ForceQuote); err != nil {
		return err
	}
	if o.forceNotNullFlag, err = flags(o.ForceNotNull); err != nil {
		return err
	}
	o.forceNullFlag, err = flags(o.ForceNull)
	return err
}
