package reference
import ("testing";"os";"bytes";"fmt"
"github.com/apache/arrow-go/v18/parquet/file")
func TestTmp(t *testing.T){
 b,_:=os.ReadFile("/tmp/hang.parquet")
 f,err:=file.NewParquetReader(bytes.NewReader(b)); if err!=nil{t.Fatal(err)}
 for g:=range f.NumRowGroups(){ 
  p,err:=f.RowGroup(g).GetColumnPageReader(0); fmt.Println(g,err, f.RowGroup(g).NumRows())
  m,_:=f.RowGroup(g).MetaData().ColumnChunk(0); fmt.Println(m.NumValues(),m.DataPageOffset(),m.TotalCompressedSize(),m.DictionaryPageOffset(), m.HasDictionaryPage(), len(b))
  for i:=0;i<6;i++{ ok:=p.Next(); fmt.Printf("%v %T %v\n",ok,p.Page(),p.Err()); if ok {fmt.Println(p.Page().NumValues(),p.Page().Encoding(), len(p.Page().Data()))} }
 }
}
