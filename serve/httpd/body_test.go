package httpd

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"unsafe"

	"github.com/fairlead-ml/fairlead"
)

// TestBodyTakesMemoryAsItComes: what a header promises is not reserved before some of it has come.
func TestBodyTakesMemoryAsItComes(t *testing.T) {
	const promised = 64 << 20
	b, err := readExactly(strings.NewReader("{"), nil, promised, 0)
	if fairlead.CodeOf(err) != fairlead.CodeInvalid || !errors.Is(err, io.ErrUnexpectedEOF) || cap(b) > 2*believed {
		t.Errorf("%d bytes are held for one that came, %v", cap(b), err)
	}
	const came = 3 << 20
	if b, err = readExactly(bytes.NewReader(make([]byte, came)), nil, promised, 0); err == nil || cap(b) > 4*came {
		t.Errorf("%d bytes are held for %d that came, %v", cap(b), came, err)
	}
}

// TestBodyGrowsInPlace: a body of any size comes whole, and what is behind its JSON stays aligned, so that inputs can be
// taken over.
func TestBodyGrowsInPlace(t *testing.T) {
	for _, n := range []int{0, 1, 700, believed - 1, believed, believed + 1, 4*believed + 7, 9 * believed} {
		want := make([]byte, n)
		for i := range want {
			want[i] = byte(i*7 + i>>12)
		}
		const head, free = 21, -21 & 63
		b, err := readExactly(bytes.NewReader(want), make([]byte, free, free+min(n, believed))[free:], n, free)
		if err != nil || !bytes.Equal(b, want) {
			t.Errorf("%d bytes: %d came, %v", n, len(b), err)
		}
		if at := uintptr(unsafe.Pointer(unsafe.SliceData(b))); n > believed && (at+head)%64 != 0 {
			t.Errorf("%d bytes lie at %d; their data are not aligned", n, at)
		}
	}
}
