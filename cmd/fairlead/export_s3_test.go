package main

import (
	"bufio"
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // what S3 calls Content-MD5
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// fakeS3 is as much of S3 as an export needs, with signatures checked: one bucket, two names a page.
type fakeS3 struct {
	bucket  string
	mu      sync.Mutex
	objects map[string]fakeObject
	cut     int // the PUT that is cut in the middle, counted down; 0: none
}

type fakeObject struct {
	body []byte
	meta http.Header
}

type s3Key struct{}

const fakeID, fakeSecret = "AKIDEXAMPLE", "a secret"

// s3server BUCKET starts one, at $S3, and sets the credentials.
func s3server(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: s3server BUCKET")
	}
	s := ts.Value(s3Key{}).(*fakeS3)
	s.bucket, s.objects = args[0], make(map[string]fakeObject)
	server := httptest.NewServer(s)
	ts.Defer(server.Close)
	ts.Setenv("S3", server.URL)
	ts.Setenv("AWS_ACCESS_KEY_ID", fakeID)
	ts.Setenv("AWS_SECRET_ACCESS_KEY", fakeSecret)
}

// s3cut N breaks the connection in the middle of the Nth object from now on.
func s3cut(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value(s3Key{}).(*fakeS3)
	n, err := strconv.Atoi(strings.Join(args, ""))
	if neg || err != nil {
		ts.Fatalf("usage: s3cut N")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut = n
}

// s3dump FOLDER writes the objects into a folder.
func s3dump(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: s3dump FOLDER")
	}
	s := ts.Value(s3Key{}).(*fakeS3)
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, o := range s.objects {
		path := filepath.Join(ts.MkAbs(args[0]), filepath.FromSlash(key))
		ts.Check(os.MkdirAll(filepath.Dir(path), 0o755))
		ts.Check(os.WriteFile(path, o.body, 0o600))
	}
}

func (s *fakeS3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if code := checkSignature(r); code != "" {
		refuse(w, http.StatusForbidden, code)
		return
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	s.mu.Lock()
	defer s.mu.Unlock()
	o, there := s.objects[key]
	switch {
	case bucket != s.bucket:
		refuse(w, http.StatusNotFound, "NoSuchBucket")
	case r.Method == http.MethodGet && r.URL.Query().Has("location"):
		fmt.Fprint(w, `<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></LocationConstraint>`)
	case r.Method == http.MethodGet && key == "":
		s.list(w, r.URL.Query())
	case r.Method == http.MethodPut:
		s.put(w, r, key)
	case r.Method == http.MethodDelete:
		delete(s.objects, key)
		w.WriteHeader(http.StatusNoContent)
	case !there:
		refuse(w, http.StatusNotFound, "NoSuchKey")
	default:
		maps.Copy(w.Header(), o.meta)
		digest := md5.Sum(o.body) //nolint:gosec // as above
		w.Header().Set("ETag", `"`+hex.EncodeToString(digest[:])+`"`)
		w.Header().Set("Last-Modified", "Thu, 01 Mar 2001 12:00:00 GMT")
		w.Header().Set("Content-Length", strconv.Itoa(len(o.body)))
		if r.Method == http.MethodGet {
			_, _ = w.Write(o.body)
		}
	}
}

func (s *fakeS3) put(w http.ResponseWriter, r *http.Request, key string) {
	if s.cut--; s.cut == 0 {
		_, _ = io.CopyN(io.Discard, r.Body, 1000)
		panic(http.ErrAbortHandler)
	}
	body, err := payload(r)
	if err != nil {
		refuse(w, http.StatusBadRequest, "IncompleteBody")
		return
	}
	if want := r.Header.Get("Content-Md5"); want != "" {
		if digest := md5.Sum(body); base64.StdEncoding.EncodeToString(digest[:]) != want { //nolint:gosec // as above
			refuse(w, http.StatusBadRequest, "BadDigest")
			return
		}
	}
	meta := http.Header{"Content-Type": r.Header["Content-Type"]}
	for name, values := range r.Header {
		if strings.HasPrefix(name, "X-Amz-Meta-") {
			meta[name] = values
		}
	}
	s.objects[key] = fakeObject{body, meta}
	w.Header().Set("ETag", `"0"`)
}

// payload is the body, out of the signed chunks in which it may have come.
func payload(r *http.Request) ([]byte, error) {
	if !strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-") {
		body, err := io.ReadAll(r.Body)
		digest := sha256.Sum256(body)
		if said := r.Header.Get("X-Amz-Content-Sha256"); err == nil && said != "UNSIGNED-PAYLOAD" && said != hex.EncodeToString(digest[:]) {
			err = errors.New("the body is not what was signed")
		}
		return body, err
	}
	var body []byte
	in := bufio.NewReader(r.Body)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return nil, err
		}
		size, _, _ := strings.Cut(strings.TrimSpace(line), ";")
		n, err := strconv.ParseUint(size, 16, 32)
		if err != nil {
			return nil, err
		}
		chunk := make([]byte, n)
		if _, err := io.ReadFull(in, chunk); err != nil {
			return nil, err
		}
		body = append(body, chunk...)
		if n == 0 {
			if want := r.Header.Get("X-Amz-Decoded-Content-Length"); want != strconv.Itoa(len(body)) {
				return nil, io.ErrUnexpectedEOF
			}
			return body, nil
		}
		if _, err := in.Discard(2); err != nil {
			return nil, err
		}
	}
}

func (s *fakeS3) list(w http.ResponseWriter, q url.Values) {
	type content struct {
		Key          string
		Size         int
		LastModified string
	}
	var answer struct {
		XMLName               xml.Name `xml:"ListBucketResult"`
		IsTruncated           bool
		NextContinuationToken string
		Contents              []content
	}
	for _, key := range slices.Sorted(maps.Keys(s.objects)) {
		if !strings.HasPrefix(key, q.Get("prefix")) || key <= q.Get("continuation-token") {
			continue
		}
		if len(answer.Contents) == 2 {
			answer.IsTruncated, answer.NextContinuationToken = true, answer.Contents[1].Key
			break
		}
		answer.Contents = append(answer.Contents, content{key, len(s.objects[key].body), "2001-03-01T12:00:00.000Z"})
	}
	_ = xml.NewEncoder(w).Encode(answer)
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("X-Minio-Error-Code", code) // a HEAD has no body to say it
	w.WriteHeader(status)
	fmt.Fprintf(w, `<Error><Code>%s</Code><Message>it is refused</Message></Error>`, code)
}

// checkSignature is signature version 4 as Amazon's documentation describes it.
func checkSignature(r *http.Request) (code string) {
	fields := map[string]string{}
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		fields[name] = value
	}
	scope := strings.Split(fields["Credential"], "/")
	if scheme != "AWS4-HMAC-SHA256" || len(scope) != 5 || scope[0] != fakeID {
		return "InvalidAccessKeyId"
	}
	var headers strings.Builder
	for name := range strings.SplitSeq(fields["SignedHeaders"], ";") {
		value := strings.Join(r.Header.Values(name), ",")
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = strconv.FormatInt(r.ContentLength, 10)
		}
		headers.WriteString(name + ":" + strings.TrimSpace(value) + "\n")
	}
	canonical := strings.Join([]string{
		r.Method, strings.ReplaceAll(r.URL.EscapedPath(), "=", "%3D"), strings.ReplaceAll(r.URL.Query().Encode(), "+", "%20"),
		headers.String(), fields["SignedHeaders"], r.Header.Get("X-Amz-Content-Sha256"),
	}, "\n")
	digest := sha256.Sum256([]byte(canonical))
	text := strings.Join([]string{scheme, r.Header.Get("X-Amz-Date"), strings.Join(scope[1:], "/"), hex.EncodeToString(digest[:])}, "\n")
	key := []byte("AWS4" + fakeSecret)
	for _, part := range append(scope[1:], text) {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	if hex.EncodeToString(key) != fields["Signature"] {
		return "SignatureDoesNotMatch"
	}
	return ""
}
