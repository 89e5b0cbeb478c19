package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// process is the server under load: one after the other, when it is killed.
type process struct {
	dir, addr, web string
	log            *os.File

	mu    sync.Mutex
	cmd   *exec.Cmd
	ended chan error
	spent time.Duration // processor time of those that are gone
	// turn is odd while the server is to be down, and grows with each kill and start.
	turn atomic.Int64
}

func (p *process) dsn() string {
	return "postgres://postgres@" + p.addr + "/postgres?sslmode=disable"
}

// start runs a server and waits until it answers.
func (p *process) start(ctx context.Context) error {
	args := []string{"serve", "--data-dir", p.dir, "--listen", p.addr, "--http", p.web, "--log-level", "warn", "--max-connections", "200"}
	if *memory != "" {
		args = append(args, "--memory-limit", *memory)
	}
	cmd := exec.Command(*millrace, args...)
	cmd.Stderr = p.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	ended := make(chan error, 1)
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { ended <- cmd.Wait() }()
	p.mu.Lock()
	p.cmd, p.ended = cmd, ended
	p.mu.Unlock()
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(50 * time.Millisecond) {
		select {
		case err := <-ended: // somebody else may have the port: that server is not to be loaded
			ended <- err
			return fmt.Errorf("the server ended: %w", err)
		default:
		}
		c, err := pgx.Connect(ctx, p.dsn())
		if err != nil {
			continue
		}
		_ = c.Close(ctx)
		if p.turn.Load()%2 == 1 {
			p.turn.Add(1)
		}
		return nil
	}
	return errors.New("the server does not answer within a minute")
}

// kill ends the server at once.
func (p *process) kill() {
	p.turn.Add(1)
	if s, err := p.look(); err == nil {
		p.mu.Lock()
		p.spent = s.cpu
		p.mu.Unlock()
	}
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// stop ends the server cleanly.
func (p *process) stop() error {
	p.turn.Add(1)
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-p.ended:
		p.ended <- err
		return err
	case <-time.After(time.Minute):
		_ = p.cmd.Process.Kill()
		<-p.ended
		return errors.New("the server did not end within a minute of SIGTERM")
	}
}

// check has the server's own command read every byte.
func (p *process) check(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, *millrace, "check", "--data-dir", p.dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("millrace check: %w: %s", err, out)
	}
	return nil
}

// sample is what there is to see of the server at one moment.
type sample struct {
	at  time.Duration // since the beginning
	cpu time.Duration
	// rss is anonymous memory; live what the last collection left of the heap, by the
	// next one's goal.
	rss, live  int64
	goroutines int64
	// Descriptors: sockets, and all others but files that the data directory has.
	sockets, others int64
	// held are files that are deleted and open or mapped.
	held              int64
	files, bytes, log int64
	p99               []time.Duration // of each class, since the sample before
}

const clockTick = 10 * time.Millisecond // USER_HZ

func (p *process) look() (s sample, err error) {
	p.mu.Lock()
	proc := fmt.Sprintf("/proc/%d/", p.cmd.Process.Pid)
	s.cpu = p.spent
	p.mu.Unlock()
	stat, err := os.ReadFile(proc + "stat")
	if err != nil {
		return s, err
	}
	for _, f := range bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])[11:13] {
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return s, err
		}
		s.cpu += time.Duration(n) * clockTick
	}
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		return s, err
	}
	_, rest, _ := bytes.Cut(status, []byte("RssAnon:"))
	if f := bytes.Fields(rest); len(f) > 0 {
		kb, err := strconv.ParseInt(string(f[0]), 10, 64)
		if err != nil {
			return s, err
		}
		s.rss = kb << 10
	}
	fds, err := os.ReadDir(proc + "fd")
	if err != nil {
		return s, err
	}
	for _, fd := range fds {
		to, err := os.Readlink(proc + "fd/" + fd.Name())
		switch {
		case err != nil:
		case strings.HasPrefix(to, "socket:"):
			s.sockets++
		case strings.HasSuffix(to, " (deleted)"):
			s.held++
		case !strings.HasPrefix(to, p.dir):
			s.others++
		}
	}
	maps, err := os.ReadFile(proc + "maps")
	if err != nil {
		return s, err
	}
	s.held += int64(bytes.Count(maps, []byte(" (deleted)\n")))
	_ = filepath.WalkDir(p.dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if i, err := e.Info(); err == nil {
				s.files++
				if filepath.Base(filepath.Dir(path)) == "log" {
					s.log += i.Size()
				} else {
					s.bytes += i.Size()
				}
			}
		}
		return nil
	})
	m, err := p.metrics()
	if err != nil {
		return s, err
	}
	s.goroutines = int64(m["go_goroutines"])
	s.live = int64(m["go_memstats_next_gc_bytes"] * 100 / (100 + m["go_gc_gogc_percent"]))
	return s, nil
}

func (p *process) metrics() (map[string]float64, error) {
	r, err := http.Get("http://" + p.web + "/metrics")
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	m := map[string]float64{}
	for s := bufio.NewScanner(r.Body); s.Scan(); {
		if name, value, ok := strings.Cut(s.Text(), " "); ok && name != "#" {
			m[name], _ = strconv.ParseFloat(value, 64)
		}
	}
	return m, nil
}

// collect has the server collect its garbage.
func (p *process) collect() error {
	r, err := http.Get("http://" + p.web + "/debug/pprof/heap?gc=1")
	if err != nil {
		return err
	}
	defer r.Body.Close()
	_, err = io.Copy(io.Discard, r.Body)
	return err
}

// save writes one of the server's profiles to a file.
func (p *process) save(name, file string) error {
	r, err := http.Get("http://" + p.web + "/debug/pprof/" + name)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r.Body)
	return errors.Join(err, f.Close())
}
