package eval

import "strings"

// A template of to_char and its kin is a list of fields and literal text.

// field is a keyword of date templates.
type field uint8

const (
	literal field = iota
	fHH12
	fHH24
	fMI
	fSS
	fMS
	fUS
	fFF // with .n digits
	fSSSS
	fAM    // AM, PM
	fAMd   // A.M., P.M.
	fYcYYY // Y,YYY
	fYear  // with .n digits
	fISOYear
	fBC
	fBCd
	fMonth
	fMon
	fMM
	fDay
	fDy
	fDDD
	fIDDD
	fDD
	fD
	fID
	fW
	fWW
	fIW
	fCC
	fJ
	fQ
	fRM
	fTZ
	fTZH
	fTZM
	fOF
)

// letters says how the letters of a name are to be.
type letters uint8

const (
	upperCase letters = iota
	titleCase
	lowerCase
)

type token struct {
	f      field
	n      int // digits of a year or fraction
	text   []byte
	as     letters
	fill   bool // FM: without padding
	th     letters
	hasTH  bool
	tm     bool
	quoted bool
}

type keyword struct {
	name string
	f    field
	n    int
	as   letters
}

// dateKeywords are tried in order, so longer ones come first. Letters count: Month
// and month differ in what they make; numbers are written in either case.
var dateKeywords = []keyword{
	{"A.D.", fBCd, 0, upperCase}, {"A.M.", fAMd, 0, upperCase}, {"AD", fBC, 0, upperCase}, {"AM", fAM, 0, upperCase},
	{"B.C.", fBCd, 0, upperCase}, {"BC", fBC, 0, upperCase}, {"CC", fCC, 0, 0}, {"DAY", fDay, 0, upperCase}, {"DDD", fDDD, 0, 0},
	{"DD", fDD, 0, 0}, {"DY", fDy, 0, upperCase}, {"Day", fDay, 0, titleCase}, {"Dy", fDy, 0, titleCase}, {"D", fD, 0, 0},
	{"FF1", fFF, 1, 0}, {"FF2", fFF, 2, 0}, {"FF3", fFF, 3, 0}, {"FF4", fFF, 4, 0}, {"FF5", fFF, 5, 0}, {"FF6", fFF, 6, 0},
	{"HH24", fHH24, 0, 0}, {"HH12", fHH12, 0, 0}, {"HH", fHH12, 0, 0}, {"IDDD", fIDDD, 0, 0}, {"ID", fID, 0, 0}, {"IW", fIW, 0, 0},
	{"IYYY", fISOYear, 4, 0}, {"IYY", fISOYear, 3, 0}, {"IY", fISOYear, 2, 0}, {"I", fISOYear, 1, 0}, {"J", fJ, 0, 0},
	{"MI", fMI, 0, 0}, {"MM", fMM, 0, 0}, {"MONTH", fMonth, 0, upperCase}, {"MON", fMon, 0, upperCase}, {"MS", fMS, 0, 0},
	{"Month", fMonth, 0, titleCase}, {"Mon", fMon, 0, titleCase}, {"OF", fOF, 0, 0}, {"P.M.", fAMd, 0, upperCase}, {"PM", fAM, 0, upperCase},
	{"Q", fQ, 0, 0}, {"RM", fRM, 0, upperCase}, {"SSSSS", fSSSS, 0, 0}, {"SSSS", fSSSS, 0, 0}, {"SS", fSS, 0, 0}, {"TZH", fTZH, 0, 0},
	{"TZM", fTZM, 0, 0}, {"TZ", fTZ, 0, upperCase}, {"US", fUS, 0, 0}, {"WW", fWW, 0, 0}, {"W", fW, 0, 0}, {"Y,YYY", fYcYYY, 0, 0},
	{"YYYY", fYear, 4, 0}, {"YYY", fYear, 3, 0}, {"YY", fYear, 2, 0}, {"Y", fYear, 1, 0},
	{"a.d.", fBCd, 0, lowerCase}, {"a.m.", fAMd, 0, lowerCase}, {"ad", fBC, 0, lowerCase}, {"am", fAM, 0, lowerCase},
	{"b.c.", fBCd, 0, lowerCase}, {"bc", fBC, 0, lowerCase}, {"cc", fCC, 0, 0}, {"day", fDay, 0, lowerCase}, {"ddd", fDDD, 0, 0},
	{"dd", fDD, 0, 0}, {"dy", fDy, 0, lowerCase}, {"d", fD, 0, 0},
	{"ff1", fFF, 1, 0}, {"ff2", fFF, 2, 0}, {"ff3", fFF, 3, 0}, {"ff4", fFF, 4, 0}, {"ff5", fFF, 5, 0}, {"ff6", fFF, 6, 0},
	{"hh24", fHH24, 0, 0}, {"hh12", fHH12, 0, 0}, {"hh", fHH12, 0, 0}, {"iddd", fIDDD, 0, 0}, {"id", fID, 0, 0}, {"iw", fIW, 0, 0},
	{"iyyy", fISOYear, 4, 0}, {"iyy", fISOYear, 3, 0}, {"iy", fISOYear, 2, 0}, {"i", fISOYear, 1, 0}, {"j", fJ, 0, 0},
	{"mi", fMI, 0, 0}, {"mm", fMM, 0, 0}, {"month", fMonth, 0, lowerCase}, {"mon", fMon, 0, lowerCase}, {"ms", fMS, 0, 0},
	{"of", fOF, 0, 0}, {"p.m.", fAMd, 0, lowerCase}, {"pm", fAM, 0, lowerCase}, {"q", fQ, 0, 0}, {"rm", fRM, 0, lowerCase},
	{"sssss", fSSSS, 0, 0}, {"ssss", fSSSS, 0, 0}, {"ss", fSS, 0, 0}, {"tzh", fTZH, 0, 0}, {"tzm", fTZM, 0, 0}, {"tz", fTZ, 0, lowerCase}, {"us", fUS, 0, 0},
	{"ww", fWW, 0, 0}, {"w", fW, 0, 0}, {"y,yyy", fYcYYY, 0, 0}, {"yyyy", fYear, 4, 0}, {"yyy", fYear, 3, 0}, {"yy", fYear, 2, 0}, {"y", fYear, 1, 0},
}

// dateTemplate takes a template apart; fx says that FX stands at its start.
func dateTemplate(s string) (tokens []token, fx bool) {
	for len(s) > 0 {
		t := token{}
		for {
			switch {
			case hasFold(s, "FM"):
				t.fill, s = true, s[2:]
				continue
			case hasFold(s, "TM"):
				t.tm, s = true, s[2:]
				continue
			case hasFold(s, "FX"):
				fx, s = true, s[2:]
				continue
			}
			break
		}
		found := false
		for _, k := range dateKeywords {
			if strings.HasPrefix(s, k.name) {
				t.f, t.n, t.as, found = k.f, k.n, k.as, true
				s = s[len(k.name):]
				break
			}
		}
		if found {
			for {
				switch {
				case strings.HasPrefix(s, "TH"):
					t.hasTH, t.th, s = true, upperCase, s[2:]
					continue
				case strings.HasPrefix(s, "th"):
					t.hasTH, t.th, s = true, lowerCase, s[2:]
					continue
				case hasFold(s, "SP"):
					s = s[2:]
					continue
				}
				break
			}
			tokens = append(tokens, t)
			continue
		}
		if len(s) == 0 {
			break
		}
		switch {
		case s[0] == '"':
			var text []byte
			i := 1
			for ; i < len(s) && s[i] != '"'; i++ {
				if s[i] == '\\' && i+1 < len(s) {
					i++
				}
				text = append(text, s[i])
			}
			s = s[min(i+1, len(s)):]
			tokens = append(tokens, token{text: text, quoted: true})
		case s[0] == '\\' && len(s) > 1 && s[1] == '"':
			tokens = append(tokens, token{text: []byte{'"'}})
			s = s[2:]
		default:
			n := charLen([]byte(s[:min(len(s), 4)]), false)
			tokens = append(tokens, token{text: []byte(s[:n])})
			s = s[n:]
		}
	}
	return tokens, fx
}

func hasFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

var monthNames = [...]string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"}
var dayNames = [...]string{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"}
var romanMonths = [...]string{"I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"}

func cased(s string, as letters) string {
	switch as {
	case upperCase:
		return strings.ToUpper(s)
	case lowerCase:
		return strings.ToLower(s)
	}
	return s
}

// ordinal is st, nd, rd or th.
func ordinal(n int64) string {
	if n < 0 {
		n = -n
	}
	if n%100/10 != 1 {
		switch n % 10 {
		case 1:
			return "st"
		case 2:
			return "nd"
		case 3:
			return "rd"
		}
	}
	return "th"
}
