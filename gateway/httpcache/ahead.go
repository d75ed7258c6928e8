package httpcache

// startPump reports whether pump is to be started.
func (b *tee) startPump() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pumping || !b.keeping {
		return false
	}
	b.pumping, b.stopped = true, false
	return true
}

// stopPump ends pump, since nobody waits any more. If there is no reader either, that
// ends the whole.
func (b *tee) stopPump() {
	b.mu.Lock()
	b.stopped = true
	alone := b.pumping && b.closed.Load()
	b.mu.Unlock()
	if alone {
		b.closeSource() // which interrupts a Read
	}
}

// pump reads the origin's body to the end of what is kept, or until it is stopped.
func (b *tee) pump() {
	defer func() {
		// Whoever reads the body finds that it has ended early, if Read has panicked.
		if recover() != nil {
			b.x.cache.counters.panics.Add(1)
		}
		b.mu.Lock()
		b.pumping = false
		b.releaseLocked()
		b.mu.Unlock()
		if b.closed.Load() {
			b.end()
		}
	}()
	p := make([]byte, 32<<10)
	for {
		b.turn <- struct{}{}
		if !b.wanted(false) {
			<-b.turn
			return
		}
		b.fill(p, false)
	}
}
