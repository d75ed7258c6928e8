package retry

// Hosts returns the number of hosts that t keeps a policy for.
func Hosts(t *Transport) int { return len(*t.hosts.Load()) }
