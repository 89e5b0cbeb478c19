// Command millrace is the Millrace server and its tools, one file for each
// subcommand. A build for GOAMD64=v3 that meets an older processor is stopped by
// the Go runtime, which says so.
package main

import (
	"fmt"
	"os"

	"github.com/alecthomas/kong"
)

// version is set by the linker.
var version = "dev"

// commands are the subcommands.
type commands struct {
	Serve   serveCmd   `cmd:"" help:"Run the server."`
	Inspect inspectCmd `cmd:"" help:"Print where the bytes of the tables' files are."`
	Check   checkCmd   `cmd:"" help:"Read every byte of a data directory that no server uses, and report damage."`
	Demo    demoCmd    `cmd:"" help:"Run a server with live data from a Kafka broker, to try things out."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

func main() {
	var c commands
	k := kong.Parse(&c,
		kong.Name("millrace"),
		kong.Description("A real-time warehouse that speaks the PostgreSQL protocol."),
		kong.DefaultEnvars("MILLRACE"),
		kong.ShortUsageOnError(),
	)
	if err := k.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "millrace:", err)
		os.Exit(1)
	}
}
