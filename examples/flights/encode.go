package flights

import (
	"strconv"
	"time"
)

// idPrefix and the row number in the file make a flight's prediction id.
const idPrefix = "f"

func predictionID(b []byte, row int64) []byte {
	b = append(b, idPrefix...)
	return strconv.AppendInt(b, row, 10)
}

// request gathers flights into the body of one infer request: named features and, parallel to them, id, event time and
// entity key. The texts it writes (numbers, airport codes, times) need no JSON escaping.
type request struct {
	instances []byte
	rows      []byte
	n         int
}

// add appends a flight. Airport codes are checked by airport first.
func (r *request) add(f *Flight) {
	b := r.instances
	if r.n == 0 {
		b = append(b, `{"instances":[`...)
	} else {
		b = append(b, ',')
		r.rows = append(r.rows, ',')
	}
	b = append(b, `{"hour":`...)
	b = strconv.AppendInt(b, int64(f.Hour), 10)
	b = append(b, `,"weekday":`...)
	b = strconv.AppendInt(b, int64(f.Weekday), 10)
	b = append(b, `,"distance":`...)
	b = strconv.AppendInt(b, int64(f.Distance), 10)
	b = append(b, `,"departures":`...)
	b = strconv.AppendInt(b, int64(f.Departures), 10)
	b = append(b, `,"origin":"`...)
	b = append(b, f.Origin...)
	b = append(b, `","destination":"`...)
	b = append(b, f.Destination...)
	r.instances = append(b, `"}`...)

	b = append(r.rows, `{"id":"`...)
	b = predictionID(b, f.Row)
	b = append(b, `","time":"`...)
	b = at(f.Minute).AppendFormat(b, time.RFC3339)
	b = append(b, `","key":"`...)
	b = append(b, f.Origin...)
	b = append(b, '-')
	b = append(b, f.Destination...)
	r.rows = append(b, `"}`...)
	r.n++
}

// body is the request's JSON; it shares the request's memory.
func (r *request) body() []byte {
	b := append(r.instances, `],"rows":[`...)
	b = append(b, r.rows...)
	return append(b, "]}"...)
}

// airport says whether s may go into a request as it is: letters and digits only.
func airport(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return s != ""
}

// appendLabels writes the body of a labels request.
func appendLabels(b []byte, labels []label) []byte {
	b = append(b, `{"labels":[`...)
	for i, l := range labels {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"prediction_id":"`...)
		b = predictionID(b, l.row)
		b = append(b, `","value":"`...)
		b = append(b, l.value...)
		b = append(b, `","time":"`...)
		b = at(l.due).AppendFormat(b, time.RFC3339)
		b = append(b, `"}`...)
	}
	return append(b, "]}"...)
}
