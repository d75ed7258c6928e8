package loadbalance

// Hash returns a hash of s for [Hint].Hash: FNV-1a in 64 bits, then [HashUint64]. It is
// the same in every process and in every version of this package, and never 0.
func Hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h ^= uint64(s[i])
		h *= 1099511628211
	}
	return HashUint64(h)
}

// HashUint64 is Hash for a number, such as an identifier: one step of SplitMix64
// (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014), with 1
// in the place of 0.
func HashUint64(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return max(x^x>>31, 1)
}
