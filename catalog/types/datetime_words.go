package types

// What a word or field says. The low values are bits of a mask.
const (
	hasYear = 1 << iota
	hasMonth
	hasDay
	hasDOY
	hasHour
	hasMinute
	hasSecond
	hasZone
	hasDSTMod
	hasEra
	hasAMPM
	hasDOW

	hasDate = hasYear | hasMonth | hasDay
	hasTime = hasHour | hasMinute | hasSecond
)

type dtWordKind uint8

const (
	wordIgnore dtWordKind = iota
	wordMonth
	wordDOW
	wordAMPM
	wordEra
	wordReserved
	wordUnit
	wordISOTime
	wordDSTMod
)

const (
	resNow = iota
	resToday
	resTomorrow
	resYesterday
	resAllballs
	resEpoch
	resInfinity
	resNegInfinity
)

const (
	unitJulian = iota + 1
	unitTime
	unitOther
)

type dtWord struct {
	kind dtWordKind
	val  int
}

var dtWords = map[string]dtWord{
	"-infinity": {wordReserved, resNegInfinity}, "infinity": {wordReserved, resInfinity}, "+infinity": {wordReserved, resInfinity},
	"ad": {wordEra, 0}, "bc": {wordEra, 1}, "am": {wordAMPM, 0}, "pm": {wordAMPM, 1},
	"allballs": {wordReserved, resAllballs}, "epoch": {wordReserved, resEpoch}, "now": {wordReserved, resNow},
	"today": {wordReserved, resToday}, "tomorrow": {wordReserved, resTomorrow}, "yesterday": {wordReserved, resYesterday},
	"at": {wordIgnore, 0}, "on": {wordIgnore, 0},
	"jan": {wordMonth, 1}, "january": {wordMonth, 1}, "feb": {wordMonth, 2}, "february": {wordMonth, 2},
	"mar": {wordMonth, 3}, "march": {wordMonth, 3}, "apr": {wordMonth, 4}, "april": {wordMonth, 4}, "may": {wordMonth, 5},
	"jun": {wordMonth, 6}, "june": {wordMonth, 6}, "jul": {wordMonth, 7}, "july": {wordMonth, 7},
	"aug": {wordMonth, 8}, "august": {wordMonth, 8}, "sep": {wordMonth, 9}, "sept": {wordMonth, 9}, "september": {wordMonth, 9},
	"oct": {wordMonth, 10}, "october": {wordMonth, 10}, "nov": {wordMonth, 11}, "november": {wordMonth, 11},
	"dec": {wordMonth, 12}, "december": {wordMonth, 12},
	"sun": {wordDOW, 0}, "sunday": {wordDOW, 0}, "mon": {wordDOW, 1}, "monday": {wordDOW, 1},
	"tue": {wordDOW, 2}, "tues": {wordDOW, 2}, "tuesday": {wordDOW, 2}, "wed": {wordDOW, 3}, "weds": {wordDOW, 3},
	"wednesday": {wordDOW, 3}, "thu": {wordDOW, 4}, "thur": {wordDOW, 4}, "thurs": {wordDOW, 4}, "thursday": {wordDOW, 4},
	"fri": {wordDOW, 5}, "friday": {wordDOW, 5}, "sat": {wordDOW, 6}, "saturday": {wordDOW, 6},
	"dst": {wordDSTMod, 3600},
	"j":   {wordUnit, unitJulian}, "jd": {wordUnit, unitJulian}, "julian": {wordUnit, unitJulian},
	"t": {wordISOTime, unitTime},
	"d": {wordUnit, unitOther}, "h": {wordUnit, unitOther}, "m": {wordUnit, unitOther}, "mm": {wordUnit, unitOther},
	"s": {wordUnit, unitOther}, "y": {wordUnit, unitOther},
}
