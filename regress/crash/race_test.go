//go:build race

package crash

// schedules under the detector: some ten seconds each on a busy machine.
const schedules = 16
