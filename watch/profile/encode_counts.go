package profile

// MarshalBinary encodes the window compactly: counters that are zero take no room. Equal counts of one layout have
// equal encodings, however they came about.
func (c *Counts) MarshalBinary() ([]byte, error) {
	return frame(magicCounts, func(w *writer) {
		w.uvarint(uint64(c.layout))
		c.encode(w)
	}), nil
}

// ParseCounts decodes what MarshalBinary made. It fails with CodeInvalid for damaged bytes, for counts of another
// layout, and for counters that do not add up to the window's rows.
func ParseCounts(l *Layout, b []byte) (*Counts, error) {
	r, err := unframe("a window's profile", magicCounts, b)
	if err != nil {
		return nil, err
	}
	if id := r.uvarint(); id != uint64(l.id) && r.err == nil {
		r.fail("it was counted over other bins")
	}
	c := decodeCounts(r, l)
	if err := r.done(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Counts) encode(w *writer) {
	w.uvarint(c.N)
	for i := range c.Columns {
		c.Columns[i].encode(w)
	}
}

func decodeCounts(r *reader, l *Layout) *Counts {
	c := NewCounts(l)
	c.N = r.uvarint()
	for i := range c.Columns {
		c.Columns[i].decode(r, c.N)
		if r.err != nil {
			break
		}
	}
	return c
}

// encode writes the slots that are not zero as gap and count, a zero gap being the end, then the specials and the
// moments. Gaps count from the slot before, the first one from −1.
func (c *ColumnCounts) encode(w *writer) {
	last := -1
	for i, n := range c.Slots {
		if n > 0 {
			w.uvarint(uint64(i - last))
			w.uvarint(n)
			last = i
		}
	}
	w.uvarint(0)
	specials := c.specials()
	var present byte
	for i, n := range specials {
		if *n > 0 {
			present |= 1 << i
		}
	}
	w.byte(present)
	for _, n := range specials {
		if *n > 0 {
			w.uvarint(*n)
		}
	}
	if c.moments.unit > 0 && last >= 0 {
		m := &c.moments
		w.wide(m.sum)
		w.wide(m.squares)
		w.float(m.min)
		w.float(m.max)
	}
}

func (c *ColumnCounts) specials() [4]*uint64 {
	return [4]*uint64{&c.Null, &c.NaN, &c.NegInf, &c.PosInf}
}

func (c *ColumnCounts) decode(r *reader, rows uint64) {
	left := rows // what the counters may still take
	take := func() uint64 {
		n := r.uvarint()
		if n == 0 || n > left {
			r.fail("the counters do not add up to its rows")
			return 0
		}
		left -= n
		return n
	}
	last := -1
	for gap := r.uvarint(); gap > 0; gap = r.uvarint() {
		if gap > uint64(len(c.Slots)-1-last) {
			r.fail("it has more bins than its layout")
			return
		}
		last += int(gap)
		c.Slots[last] = take()
	}
	present := r.byte()
	if present >= 1<<4 {
		r.fail("it has specials of an unknown kind")
	}
	for i, n := range c.specials() {
		if present&(1<<i) != 0 {
			*n = take()
		}
	}
	if left != 0 {
		r.fail("the counters do not add up to its rows")
	}
	if c.moments.unit > 0 && last >= 0 {
		c.moments.decode(r)
	}
}

func (m *moments) decode(r *reader) {
	m.sum, m.squares = r.wide(), r.wide()
	m.min, m.max = r.finite(), r.finite()
	if m.min > m.max || m.squares.hi < 0 {
		r.fail("its moments contradict each other")
	}
}
