// Command echo is the limit of what an HTTP server in Go can do: it reads each request's body and answers with the
// bytes of a file.
//
//	echo ADDRESS FILE CONTENT-TYPE
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: echo ADDRESS FILE CONTENT-TYPE")
		os.Exit(2)
	}
	answer, err := os.ReadFile(os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, "echo:", err)
		os.Exit(1)
	}
	handler := func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", os.Args[3])
		w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
		_, _ = w.Write(answer) // a client that went away
	}
	fmt.Fprintln(os.Stderr, "echo:", http.ListenAndServe(os.Args[1], http.HandlerFunc(handler)))
	os.Exit(1)
}
