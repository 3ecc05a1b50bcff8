package drift

// PoolBelow is the number of expected rows under which Pool joins a category with other rare ones: the usual rule for
// a chi-square test.
const PoolBelow = 5

// Pool joins the bins in which fewer than PoolBelow rows are expected, by the reference's share and the effective rows
// 1/(1/n+1/m), into one, which becomes the last bin. A hundred categories against an hour of traffic measure mostly noise:
// the floor of PSI grows with the bins. Which bins are joined depends on the reference and the numbers of rows, never on
// what the window holds, so the floor stays what it says. Bins without any row in the reference (unseen, null) are kept
// apart: a single row there means something. Where fewer than two bins would be left, or there are no rows on one side,
// the counts come back as they are: a window too small to be measured must not look as if it agreed.
func Pool(ref, cur []uint64, n, m uint64) (pooledRef, pooledCur []uint64) {
	sameLength(len(ref), len(cur))
	if n == 0 || m == 0 {
		return ref, cur
	}
	effective := 1 / nullScale(n, m)
	var restRef, restCur uint64
	for i := range ref {
		if ref[i] > 0 && float64(ref[i])/float64(m)*effective < PoolBelow {
			restRef += ref[i]
			restCur += cur[i]
			continue
		}
		pooledRef = append(pooledRef, ref[i])
		pooledCur = append(pooledCur, cur[i])
	}
	alone := 0
	for _, k := range pooledRef {
		if k > 0 {
			alone++
		}
	}
	if alone == 0 || alone == 1 && restRef == 0 {
		return ref, cur
	}
	return append(pooledRef, restRef), append(pooledCur, restCur)
}
