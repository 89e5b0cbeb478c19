//go:build !race

package crash

const schedules = 60
