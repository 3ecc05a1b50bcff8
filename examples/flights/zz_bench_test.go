package flights
import ("testing";"net/http";"net/http/httptest";"io";"context";"time";"encoding/json")
func TestZZ(t *testing.T){
 s:=httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter,r *http.Request){ 
  if r.URL.Path=="/v2/models/flights/infer" { b,_:=io.ReadAll(r.Body); if len(b)>0 { var x struct{Rows []struct{ID string}}; if testing.Verbose() && first1 {first1=false; json.Unmarshal(b,&x); ids:=[]string{}; for _,r:=range x.Rows{ids=append(ids,r.ID)}; json.NewEncoder(w).Encode(map[string]any{"ids":ids}); t.Log(string(b[:300])); return} }
  } else {io.Copy(io.Discard,r.Body)}
  w.Write([]byte("{}"))}))
 defer s.Close()
 r,_:=New(Options{Server:s.URL,Flights:"../../bin/flights-3m.parquet",To:Start.AddDate(0,0,5),PerDay:PD,Incident:"all",Progress:func(p Progress){t.Logf("%+v",p)}})
 b:=time.Now(); if err:=r.Run(context.Background());err!=nil{t.Fatal(err)}; t.Log(time.Since(b))
}
var first1=true
var PD=2*time.Second
