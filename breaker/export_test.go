package breaker

// Seeded returns a Breaker with a source of randomness that repeats itself.
func Seeded(cfg Config, rand func() float64) *Breaker {
	b := New(cfg)
	b.rand = rand
	return b
}
