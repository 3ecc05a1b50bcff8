package evalstore
import ("testing";"database/sql";"fmt";"context";"database/sql/driver";"time"
duckdb "github.com/duckdb/duckdb-go/v2")
func TestProbe(t *testing.T){
 dir:=t.TempDir()
 dsn:=dir+"/x.duckdb?threads=2&memory_limit=1GB&autoinstall_known_extensions=false&autoload_known_extensions=false&enable_external_access=false&lock_configuration=true&allow_community_extensions=false&storage_compatibility_version=latest&max_temp_directory_size=1GB"
 c,err:=duckdb.NewConnector(dsn,nil)
 if err!=nil{t.Fatal(err)}
 db:=sql.OpenDB(c); defer db.Close()
 ctx:=context.Background()
 q:=func(s string){ 
   start:=time.Now()
   rows,err:=db.QueryContext(ctx,s); if err!=nil{fmt.Println("ERR",s,err);return}
   defer rows.Close(); cols,_:=rows.Columns()
   n:=0
   for rows.Next(){ v:=make([]any,len(cols)); p:=make([]any,len(cols)); for i:=range v{p[i]=&v[i]}; rows.Scan(p...); if n<12 {fmt.Println(s,"->",v)}; n++}
   fmt.Println(s,"rows",n,rows.Err(),time.Since(start))
 }
 q("select version()")
 q("select extension_name, loaded, installed, install_mode from duckdb_extensions() where loaded")
 q("select name,value from duckdb_settings() where name in ('threads','memory_limit','temp_directory','enable_external_access','lock_configuration','storage_compatibility_version','allowed_directories','wal_autocheckpoint','checkpoint_threshold','max_temp_directory_size')")
 q("select tags from duckdb_databases()")
 q("select json_serialize_sql('select 1; select * from read_csv(''a'') t')")
 q("select json_serialize_sql('explain select 1')")
 q("select json_serialize_sql('summarize select 1')")
 q("select json_serialize_sql('insert into x values(1)')")
 q("select json_serialize_sql('select fro m')")
 // ddl + append in one tx
 conn,_:=db.Conn(ctx)
 ex:=func(s string){ _,err:=conn.ExecContext(ctx,s); if err!=nil{fmt.Println("ERR",s,err)}}
 ex(`create schema rows`); ex(`create table rows."fl.x"(id varchar, tags map(varchar,varchar), l float[])`)
 ex(`insert into rows."fl.x" values ('z',null,null)`)
 ex("begin"); ex(`alter table rows."fl.x" add column b blob`)
 err=conn.Raw(func(dc any) error { a,err:=duckdb.NewAppenderFromConn(dc.(driver.Conn),"rows","fl.x"); if err!=nil{return err}
   if err:=a.AppendRow("a",duckdb.Map{"k":"v"},[]float32{1,2},[]byte("x"));err!=nil{return err}
   if err:=a.AppendRow("b",nil,nil,nil);err!=nil{return err}
   return a.Close()})
 fmt.Println("append",err)
 ex("commit")
 q(`select * from rows."fl.x"`)
 // pk delete+insert in one tx
 ex("create table f(a int, b varchar, v double, primary key(a,b))"); ex("insert into f values (1,'x',1),(2,'y',2)")
 ex("begin"); ex("delete from f where a=1"); ex("insert into f values (1,'x',5)"); ex("commit")
 q("select * from f")
 ex("begin"); ex("delete from f where a=1"); 
 err=conn.Raw(func(dc any) error { a,err:=duckdb.NewAppenderFromConn(dc.(driver.Conn),"","f"); if err!=nil{return err}
   if err:=a.AppendRow(int32(1),"x",6.0);err!=nil{return err}
   return a.Close()})
 fmt.Println("append",err)
 ex("commit")
 q("select * from f")
 ex("begin transaction read only"); ex("insert into f values (9,'x',1)"); ex("rollback")
 for _,s:=range []string{"select * from read_csv('/etc/passwd')","select * from read_text('/etc/passwd')","select * from '/etc/passwd'","select * from glob('/etc/*')","from checkpoint()","from force_checkpoint()","from enable_logging()","select getenv('HOME')","select current_setting('temp_directory')","set threads=1","pragma threads=1","from duckdb_secrets()","from query('select 1')","from which_secret('a','b')","select * from sniff_csv('/etc/passwd')","from read_blob('/etc/passwd')","from read_duckdb('x')","from test_all_types()", "attach '/tmp/zz.db'", "copy f to '/tmp/zz'","install icu","load icu","select length(repeat('x', 3000000000))","select sum(length(repeat('x', 100000000)||range)) from range(2000)", "select nextval('x')","from pragma_database_size()","from duckdb_temporary_files()","from repeat(1, 5)","select write_log('x')","from duckdb_functions() where function_type='table' and schema_name='main'"} {q(s)}
 q("select function_name, function_type from duckdb_functions() where has_side_effects and function_type!='table'")
 q("select string_agg(distinct function_name, ' ') from duckdb_functions() where function_type='table'")
 q("select string_agg(distinct function_name, ' ') from duckdb_functions() where function_type='pragma'")
 ctx2,cancel:=context.WithTimeout(ctx,time.Second); defer cancel()
 st:=time.Now(); _,err=db.QueryContext(ctx2,"select count(*) from range(1000000) a, range(1000000) b where a.range+b.range=3"); fmt.Println(err,time.Since(st))
}
