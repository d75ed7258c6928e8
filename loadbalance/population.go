package loadbalance

import "math/bits"

// A population is some of the members of a set, by index. One that picks see does not
// change. Whatever its size, the j-th of it is found in a few steps: by a search in the
// sums of its words, of which there are n/64, and one within a word.
type population struct {
	words  []uint64
	before []uint32 // how many there are before each word
	count  int
	list   []uint32 // all of them, or nil
}

// reset makes p the whole of n members if all is set, and empty otherwise.
func (p *population) reset(n int, all bool) {
	size := (n + 63) / 64
	p.list = nil
	p.words = append(p.words[:0], make([]uint64, size)...)
	if all {
		for i := range p.words {
			p.words[i] = ^uint64(0)
		}
		if rest := n % 64; rest > 0 {
			p.words[size-1] = 1<<rest - 1
		}
	}
	p.sum()
}

// copy makes p the same as o.
func (p *population) copy(o *population) {
	p.words = append(p.words[:0], o.words...)
	p.before = append(p.before[:0], o.before...)
	p.count, p.list = o.count, nil
}

// enumerate lists the few of a large set: most draws would miss them. It is for a
// population that does not change any more.
func (p *population) enumerate() {
	if p.count == 0 || len(p.words) == 1 || p.count > 32*len(p.words) {
		return
	}
	p.list = make([]uint32, 0, p.count)
	for i, word := range p.words {
		for ; word != 0; word &= word - 1 {
			p.list = append(p.list, uint32(i*64+bits.TrailingZeros64(word)))
		}
	}
}

// sum counts anew, after words has changed.
func (p *population) sum() {
	p.before, p.count = p.before[:0], 0
	for _, w := range p.words {
		p.before = append(p.before, uint32(p.count))
		p.count += bits.OnesCount64(w)
	}
}

func (p *population) has(i int) bool { return p.words[i/64]>>(i%64)&1 != 0 }

// put adds or removes i, and leaves it to the caller to sum.
func (p *population) put(i int, in bool) {
	if in {
		p.words[i/64] |= 1 << (i % 64)
	} else {
		p.words[i/64] &^= 1 << (i % 64)
	}
}

// remove removes i, if it is there.
func (p *population) remove(i int) {
	if !p.has(i) {
		return
	}
	p.put(i, false)
	p.count--
	for w := i/64 + 1; w < len(p.before); w++ {
		p.before[w]--
	}
}

// and keeps what is in o as well.
func (p *population) and(o *population) {
	for w := range p.words {
		p.words[w] &= o.words[w]
	}
	p.sum()
}

// nth returns the j-th of p, from 0 to count-1.
func (p *population) nth(j int) int {
	if p.list != nil {
		return int(p.list[j])
	}
	low, high := 0, len(p.before) // it is in the last word with no more than j before it
	for high-low > 1 {
		if middle := (low + high) / 2; int(p.before[middle]) <= j {
			low = middle
		} else {
			high = middle
		}
	}
	return low*64 + nthBit(p.words[low], j-int(p.before[low]))
}

// nthBit returns the position of the j-th bit that is set. It has no branches, which
// nobody could predict.
func nthBit(word uint64, j int) int {
	at := 0
	for width := 32; width > 0; width /= 2 {
		n := bits.OnesCount64(word & (1<<width - 1))
		above := (n - 1 - j) >> (bits.UintSize - 1) // all bits if it is not among the low ones
		j -= n & above
		at += width & above
		word >>= width & above & 63
	}
	return at
}
