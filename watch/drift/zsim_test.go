package drift
import ("testing";"math/rand/v2";"fmt")
func TestSim(t *testing.T){
 for _,alpha:=range []float64{.01,.001}{
 for _,c:=range []struct{name string; w []float64; n,m int}{
  {"2",[]float64{.3,.7},200,1000},{"10eq n20",equal(10),20,5000},{"10eq n30",equal(10),30,2000},{"10eq n50",equal(10),50,2000},{"10 n100 m100",equal(10),100,100},{"10 n200",equal(10),200,2000},{"10 n1000",equal(10),1000,2000},
  {"z50 n30",zipf(50),30,2000},{"z50 n100",zipf(50),100,2000},{"z100 n300",zipf(100),300,20000},{"z100 n2000",zipf(100),2000,20000},{"50eq n20",equal(50),20,5000},{"2rare",[]float64{.995,.005},200,1000},{"3rare",[]float64{.99,.005,.005},50,300},
 }{
  rng:=rand.New(rand.NewPCG(1,9)); sh:=running(c.w); D:=20000; a:=[3]int{}
  for range D { ref,cur:=multinomial(rng,c.m,sh),multinomial(rng,c.n,sh); n,m:=uint64(c.n),uint64(c.m)
   psi,k:=PSI(ref,cur); p,q:=Shares(ref),Shares(cur)
   if psi>PSIFloor(n,m,k,alpha){a[0]++}
   if JS(p,q)>JSFloor(ref,cur,alpha){a[1]++}
   if D1(p,q)>D1Floor(ref,cur,alpha){a[2]++}
  }
  fmt.Printf("%g %-14s psi %.5f js %.5f d1 %.5f\n",alpha,c.name,float64(a[0])/float64(D),float64(a[1])/float64(D),float64(a[2])/float64(D))
 }}
}
