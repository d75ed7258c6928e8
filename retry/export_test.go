package retry

// Hosts returns the number of hosts that t keeps a policy for.
func Hosts(t *Transport) (n int) {
	for range t.hosts.table.Range {
		n++
	}
	return n
}
