package admin

import (
	_ "embed"
	"encoding/json"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fairlead-ml/fairlead/api"
)

//go:embed docs.html
var docsHTML string

type docOperation struct{ Method, Path, Summary, Description, Tag string }

// docs lists the operations on one page of our own: the usual viewers are loaded from a foreign host, and the server
// makes no browser call one.
func docs(a huma.API) http.HandlerFunc {
	page := template.Must(template.New("docs").Parse(docsHTML))
	return func(w http.ResponseWriter, _ *http.Request) {
		doc := a.OpenAPI()
		var ops []docOperation
		for path, item := range doc.Paths {
			for method, op := range map[string]*huma.Operation{"GET": item.Get, "POST": item.Post, "PUT": item.Put, "DELETE": item.Delete} {
				if op != nil {
					ops = append(ops, docOperation{method, path, op.Summary, op.Description, strings.Join(op.Tags, " ")})
				}
			}
		}
		slices.SortFunc(ops, func(x, y docOperation) int {
			return strings.Compare(x.Tag+x.Path+x.Method, y.Tag+y.Path+y.Method)
		})
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		// The page is made of constants of the binary; a failed write means the browser went away.
		_ = page.Execute(w, map[string]any{"Title": doc.Info.Title, "About": doc.Info.Description, "Operations": ops})
	}
}

// writeError answers outside huma in the same shape.
func writeError(w http.ResponseWriter, err error) {
	st := toStatus(err)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(st.GetStatus())
	if b, ok := st.(*body); ok {
		_ = json.NewEncoder(w).Encode(b.ErrorBody)
		return
	}
	_ = json.NewEncoder(w).Encode(api.ErrorBody{Error: st.Error()})
}
