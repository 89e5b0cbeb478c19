package sched

// Lend is called by a task that is about to wait, on its worker, for what another
// query does: another worker takes its place until back is called. Without it all
// workers could wait for locks whose holder finds no worker.
func (p *Pool) Lend() (back func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return func() {}
	}
	if p.surplus > 0 {
		p.surplus-- // one that was to go stays
	} else {
		p.wg.Add(1)
		go p.work()
	}
	return func() {
		p.mu.Lock()
		p.surplus++
		p.cond.Signal()
		p.mu.Unlock()
	}
}
