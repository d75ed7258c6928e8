package gateway

import (
	"cmp"
	"encoding/json"
)

// A Problem is what a server says about an error (RFC 9457).
type Problem struct {
	Type     string // a URI; about:blank if the server says none
	Title    string // the same for all problems of this type
	Status   int    // what the server says; the status of the response may differ
	Detail   string // about this occurrence
	Instance string // a URI of this occurrence

	// Extensions are all other members.
	Extensions map[string]json.RawMessage
}

// UnmarshalJSON implements [json.Unmarshaler]. Members of a wrong type are ignored, as
// the RFC asks.
func (p *Problem) UnmarshalJSON(data []byte) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return err
	}
	*p = Problem{}
	for name, v := range map[string]any{
		"type": &p.Type, "title": &p.Title, "status": &p.Status, "detail": &p.Detail, "instance": &p.Instance,
	} {
		if raw, ok := members[name]; ok {
			json.Unmarshal(raw, v)
			delete(members, name)
		}
	}
	p.Type = cmp.Or(p.Type, "about:blank")
	if len(members) > 0 {
		p.Extensions = members
	}
	return nil
}

// parseProblem returns nil if body is no problem.
func parseProblem(body []byte) *Problem {
	p := &Problem{}
	if json.Unmarshal(body, p) != nil {
		return nil
	}
	return p
}
