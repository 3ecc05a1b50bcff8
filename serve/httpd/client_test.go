package httpd

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestClient: who asks is the address, or what the nearest proxy wrote in the header that is trusted.
func TestClient(t *testing.T) {
	for _, c := range []struct {
		trusted string
		values  []string
		address string
		want    string
	}{
		{"", []string{"made up"}, "192.0.2.1:1234", "192.0.2.1"},
		{"", nil, "[2001:db8::1]:1234", "2001:db8::1"},
		{"", nil, "@", "@"}, // a Unix socket
		{"fairlead-client", []string{"desk-3"}, "192.0.2.1:1234", "desk-3"},
		{"fairlead-client", nil, "192.0.2.1:1234", "192.0.2.1"},
		{"fairlead-client", []string{"made up, 198.51.100.7", "203.0.113.9"}, "192.0.2.1:1234", "203.0.113.9"},
		{"fairlead-client", []string{"made up, 198.51.100.7"}, "192.0.2.1:1234", "198.51.100.7"},
	} {
		r := httptest.NewRequest("POST", "/", nil)
		r.RemoteAddr = c.address
		if c.values != nil {
			r.Header["Fairlead-Client"] = c.values
		}
		x := &exchange{h: &Handler{o: Options{ClientHeader: http.CanonicalHeaderKey(c.trusted)}}, r: r}
		if got := x.client(); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}
