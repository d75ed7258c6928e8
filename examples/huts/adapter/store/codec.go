// Versioned events: what is written today is read for ever. A type's name and the names
// of its fields never change; what is new is a new type. Not worth it for messages
// that nobody keeps.

package store

import (
	"encoding/json"
	"fmt"

	"github.com/belay-go/belay/examples/huts/domain"
)

// encode returns the name and the JSON of an event.
func encode(e domain.Event) (name string, data []byte, err error) {
	switch e.(type) {
	case domain.Reserved:
		name = "reserved"
	case domain.Confirmed:
		name = "confirmed"
	case domain.Released:
		name = "released"
	case domain.Settled:
		name = "settled"
	default:
		return "", nil, fmt.Errorf("store: an event of type %T has no name", e)
	}
	data, err = json.Marshal(e)
	return name, data, err
}

// decode is the inverse of encode.
func decode(name string, data []byte) (domain.Event, error) {
	switch name {
	case "reserved":
		return as[domain.Reserved](data)
	case "confirmed":
		return as[domain.Confirmed](data)
	case "released":
		return as[domain.Released](data)
	case "settled":
		return as[domain.Settled](data)
	}
	return nil, fmt.Errorf("store: an event of the unknown type %q", name)
}

func as[E domain.Event](data []byte) (domain.Event, error) {
	var e E
	err := json.Unmarshal(data, &e)
	return e, err
}
