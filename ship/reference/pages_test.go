package reference

import (
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/klauspost/compress/zstd"
)

// A few bytes that ask for gigabytes are refused before anything is decompressed.
func TestCheckSize(t *testing.T) {
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	bomb := w.EncodeAll(make([]byte, 32<<20), nil)
	for name, c := range map[string]struct {
		codec compress.Compression
		page  []byte
		says  int32
		want  string
	}{
		"snappy":       {compress.Codecs.Snappy, []byte{3, 8, 1, 2, 3}, 3, ""},
		"snappy bomb":  {compress.Codecs.Snappy, []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0}, 9, "says it has 4294967295"},
		"snappy empty": {compress.Codecs.Snappy, nil, 0, "says it has 0"},
		"zstd":         {compress.Codecs.Zstd, w.EncodeAll([]byte("abc"), nil), 3, ""},
		"zstd bomb":    {compress.Codecs.Zstd, bomb, 100, "of 100 bytes has 101 or more"},
		"zstd damaged": {compress.Codecs.Zstd, bomb[:len(bomb)/2], 32 << 20, "Zstandard"},
		"lzo":          {compress.Codecs.Lzo, []byte("abc"), 3, "is not read here"},
	} {
		err := checkSize(pageHeader{uncompressed: c.says}, c.page, c.codec)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v; want %q", name, err, c.want)
		}
	}
}

func TestCheckPages(t *testing.T) {
	// Fields 1 to 3: kind, sizes; field 5, the header of a data page: values, encoding plain.
	page := func(kind, uncompressed, compressed, values, encoding byte) []byte {
		z := func(b byte) byte { return b << 1 }
		head := []byte{0x15, z(kind), 0x15, z(uncompressed), 0x15, z(compressed), 0x2c, 0x15, z(values), 0x15, z(encoding), 0, 0}
		return append(head, make([]byte, compressed)...)
	}
	for name, c := range map[string]struct {
		chunk  []byte
		values int64
		want   string
	}{
		"one":        {page(0, 8, 8, 1, 0), 1, ""},
		"two":        {append(page(0, 8, 8, 1, 0), page(0, 16, 16, 2, 0)...), 3, ""},
		"none":       {nil, 1, "hold 0 values of 1"},
		"too few":    {page(0, 8, 8, 1, 0), 2, "hold 1 values of 2"},
		"too many":   {page(0, 8, 8, 9, 0), 2, "claims 9 values, 2 are possible"},
		"no values":  {page(0, 8, 8, 0, 0), 1, "without values"},
		"beyond":     {page(0, 8, 8, 1, 0)[:15], 1, "beyond its chunk"},
		"index page": {page(1, 8, 8, 1, 0), 1, "kind 1"},
		"other body": {page(2, 8, 8, 1, 0), 1, "kind 2"},
		"delta":      {page(0, 8, 8, 1, 5), 1, "DELTA_BINARY_PACKED is not read here"},
		"cut":        {page(0, 8, 8, 1, 0)[:5], 1, "not readable"},
		"backwards":  {[]byte{0x15, 0, 0x05, 2, 0}, 1, "not readable"},
		"deep":       {append([]byte{0x15, 0, 0x9c}, []byte(strings.Repeat("\x1c", 100))...), 1, "not readable"},
	} {
		total, err := checkPages(c.chunk, compress.Codecs.Uncompressed, c.values)
		if c.want == "" && (err != nil || total != 8*c.values) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %d, %v; want %q", name, total, err, c.want)
		}
	}
}
