package tree

import "math"

// add counts the leaf of one tree for row i.
func (f *forest) add(s *scratch, i int, leaf int32) {
	if f.value != nil {
		at := i * f.targets
		if f.column != nil {
			at += int(f.column[leaf])
		}
		f.accumulate(&s.scores[at], &s.voted[at], f.value[leaf])
		return
	}
	v := f.votes[leaf]
	scores, voted := s.scores[i*f.targets:(i+1)*f.targets], s.voted[i*f.targets:(i+1)*f.targets]
	for j, w := range f.weights[v.first : v.first+v.n] {
		target := uint32(j)
		if f.target != nil {
			target = f.target[v.first+uint32(j)]
		}
		f.accumulate(&scores[target], &voted[target], w)
	}
}

func (f *forest) accumulate(score *float32, voted *bool, w float32) {
	switch {
	case f.aggregate <= average:
		*score += w
	case !*voted, f.aggregate == minimum && w < *score, f.aggregate == maximum && w > *score:
		*score = w
	}
	*voted = true
}

// addAll counts the leaves of all trees for row i.
func (f *forest) addAll(s *scratch, i int) {
	leaves := s.leaves[:len(f.roots)]
	switch {
	case f.aggregate > average:
	case f.value != nil && f.column == nil:
		var total float32
		for _, leaf := range leaves {
			total += f.value[leaf]
		}
		s.scores[i*f.targets], s.voted[i*f.targets] = total, true
		return
	case f.votes != nil && f.target == nil:
		scores, voted := s.scores[i*f.targets:(i+1)*f.targets], s.voted[i*f.targets:(i+1)*f.targets]
		for _, leaf := range leaves {
			first := int(f.votes[leaf].first)
			for j, w := range f.weights[first : first+len(scores)] {
				scores[j] += w
			}
		}
		for j := range voted {
			voted[j] = true
		}
		return
	}
	for _, leaf := range leaves {
		f.add(s, i, leaf)
	}
}

// finish makes the label and the scores of a row of its sums, the way ONNX Runtime does.
func (f *forest) finish(sums []float32, voted []bool, label *int32, scores []float32) {
	if f.classifier {
		f.classify(sums, voted, label, scores)
		return
	}
	for i, v := range sums {
		if f.aggregate == average {
			v /= float32(len(f.roots))
		}
		if f.base != nil {
			v += f.base[i]
		}
		if !voted[i] && f.targets > 1 {
			v = 0
		}
		scores[i] = v
	}
	if f.targets > 1 { // ONNX Runtime transforms no single target
		f.transformed(scores)
	}
}

func (f *forest) classify(sums []float32, voted []bool, label *int32, scores []float32) {
	if f.targets > 2 {
		best := -1
		for i := range sums {
			if f.base != nil {
				sums[i], voted[i] = sums[i]+f.base[i], true
			}
			if voted[i] && (best < 0 || sums[i] > sums[best]) {
				best = i
			}
			if voted[i] {
				scores[i] = sums[i]
			}
		}
		*label = int32(max(best, 0))
		f.transformed(scores)
		return
	}
	single := f.baseOfTwo(sums, voted)
	v := sums[0]
	if voted[1] {
		v = sums[1]
	}
	limit := float32(0)
	if f.oneColumn && f.positive {
		limit = 0.5
	}
	if v > limit {
		*label = 1
	}
	copy(scores, sums)
	switch {
	case !single:
		for i := range scores {
			if !voted[i] {
				scores[i] = 0
			}
		}
		f.transformed(scores)
	case f.transform == logistic:
		scores[0], scores[1] = logisticOf(-v), logisticOf(v)
	case f.oneColumn && f.positive:
		scores[0], scores[1] = 1-v, v
	default:
		scores[0], scores[1] = -v, v
	}
}

// baseOfTwo adds the base values of two classes, and says whether there is one score for both.
func (f *forest) baseOfTwo(sums []float32, voted []bool) (single bool) {
	switch len(f.base) {
	case 2:
		if voted[1] {
			sums[1] = f.base[1] + sums[0] // not sums[1]: so does ONNX Runtime
			sums[0] = -sums[1]
		} else {
			sums[1] += f.base[1]
			sums[0] += f.base[0]
		}
		return false
	case 1:
		sums[0] += f.base[0]
	}
	return !voted[1]
}

// transformed applies the post transform to two scores or more.
func (f *forest) transformed(scores []float32) {
	switch f.transform {
	case logistic:
		for i, v := range scores {
			scores[i] = logisticOf(v)
		}
	case softmax, softmaxZero:
		softmaxOf(scores, f.transform == softmaxZero)
	}
}

func exp(v float32) float32 { return float32(math.Exp(float64(v))) }

func logisticOf(v float32) float32 {
	p := 1 / (1 + exp(-float32(math.Abs(float64(v)))))
	if v < 0 {
		return 1 - p
	}
	return p
}

// softmaxOf leaves scores at 0 where they are, if zero is set.
func softmaxOf(scores []float32, zero bool) {
	const nothing = 0.0000001
	largest := float32(-math.MaxFloat32)
	for _, v := range scores {
		if v > largest {
			largest = v
		}
	}
	var total float32
	for i, v := range scores {
		if zero && v <= nothing && v >= -nothing {
			scores[i] = v * exp(-largest)
			continue
		}
		scores[i] = exp(v - largest)
		total += scores[i]
	}
	for i := range scores {
		scores[i] /= total
	}
}
