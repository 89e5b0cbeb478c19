// Package waits shows what a server does while a statement takes too long: it asks for
// the stacks of all goroutines, and an execution trace, at the moment of the wait.
package waits

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// most is how many waits are looked at: a run that stalls for ever leaves no more.
const most = 60

// Watch looks at a server whose statements are to take at most a certain time. The
// methods of a nil Watch do nothing.
type Watch struct {
	web  string // the server's HTTP address, with its scheme
	dir  string
	slow time.Duration
	stop chan struct{}
	over sync.WaitGroup

	mu    sync.Mutex
	began time.Time
	under map[*statement]struct{}
	seen  int
}

type statement struct {
	what   string
	began  time.Time
	looked bool
}

// New watches for statements of more than slow, and leaves in dir what it sees. A slow
// of 0 gives nil.
func New(web, dir string, slow time.Duration) (*Watch, error) {
	if slow <= 0 {
		return nil, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	w := &Watch{web: web, dir: dir, slow: slow, stop: make(chan struct{}), began: time.Now(), under: map[*statement]struct{}{}}
	w.over.Go(w.run)
	return w, nil
}

// Close ends the watch.
func (w *Watch) Close() {
	if w != nil {
		close(w.stop)
		w.over.Wait()
	}
}

// Begin is called as a statement begins, what it returns as it ends.
func (w *Watch) Begin(what string) func() {
	if w == nil {
		return func() {}
	}
	s := &statement{what: what, began: time.Now()}
	w.mu.Lock()
	w.under[s] = struct{}{}
	w.mu.Unlock()
	return func() {
		w.mu.Lock()
		delete(w.under, s)
		w.mu.Unlock()
		if s.looked {
			fmt.Printf("%6.0f s  %s took %.2f s\n", s.began.Sub(w.began).Seconds(), s.what, time.Since(s.began).Seconds())
		}
	}
}

// late gives the statements that have become too slow since the last call.
func (w *Watch) late() (what []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen >= most {
		return nil
	}
	for s := range w.under {
		if !s.looked && time.Since(s.began) > w.slow {
			s.looked = true
			what = append(what, fmt.Sprintf("%s, for %v", s.what, time.Since(s.began).Round(time.Millisecond)))
		}
	}
	if len(what) > 0 {
		w.seen++
	}
	return what
}

func (w *Watch) run() {
	t := time.NewTicker(max(w.slow/8, 10*time.Millisecond))
	defer t.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-t.C:
		}
		what := w.late()
		if what == nil {
			continue
		}
		name := filepath.Join(w.dir, fmt.Sprintf("wait-%03d", w.seen))
		err := w.save(name+".stacks", "goroutine?debug=2", what)
		err = errors.Join(err, w.save(name+".trace", "trace?seconds=0.5", nil), w.save(name+".later", "goroutine?debug=2", nil))
		if err != nil {
			fmt.Println("stacks:", err)
		}
	}
}

// save writes lines and one of the server's profiles to a file.
func (w *Watch) save(file, profile string, lines []string) error {
	c := http.Client{Timeout: 20 * time.Second}
	r, err := c.Get(w.web + "/debug/pprof/" + profile)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	for _, l := range lines {
		fmt.Fprintf(f, "%6.1f s  %s\n", time.Since(w.began).Seconds(), l)
	}
	_, err = io.Copy(f, r.Body)
	return errors.Join(err, f.Close())
}
