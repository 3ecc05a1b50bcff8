package codec

import (
	"testing"

	"github.com/fairlead-ml/fairlead"
)

// TestWhoIsToAnswer reads the routing key and the pin out of headers and parameters; those of the body go before.
func TestWhoIsToAnswer(t *testing.T) {
	headers := map[string]string{"Fairlead-Routing-Key": "customer-7", "Fairlead-Pin": "canary"}
	_, head, err := HeaderMeta(func(key string) string { return headers[key] })
	if err != nil || head.RoutingKey != "customer-7" || head.Pin != "canary" {
		t.Errorf("headers: %+v, %v", head, err)
	}
	body, err := ReadMeta(map[string]any{"routing_key": int64(17), "pin": int64(3)})
	if err != nil || body.RoutingKey != "17" || body.Pin != "3" {
		t.Errorf("parameters: %+v, %v", body, err)
	}
	if m := body.Over(head); m.RoutingKey != "17" || m.Pin != "3" {
		t.Errorf("the body over the headers: %+v", m)
	}
	if m := (Meta{}).Over(head); m.RoutingKey != "customer-7" || m.Pin != "canary" {
		t.Errorf("nothing over the headers: %+v", m)
	}
	for _, key := range []string{"routing_key", "pin"} {
		for _, bad := range []any{true, 1.5} {
			if _, err := ReadMeta(map[string]any{key: bad}); fairlead.CodeOf(err) != fairlead.CodeInvalid {
				t.Errorf("%s = %v: %v", key, bad, err)
			}
		}
	}
}
