package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

type versionCmd struct{}

// Run prints what this binary is and how it was built.
func (versionCmd) Run() error {
	level, experiment := "v1", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "GOAMD64":
				level = s.Value
			case "GOEXPERIMENT":
				experiment = s.Value
			}
		}
	}
	if experiment != "" {
		experiment = " " + experiment
	}
	fmt.Printf("millrace %s (%s, %s/%s %s%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH, level, experiment)
	return nil
}
