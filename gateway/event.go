package gateway

import (
	"fmt"
	"time"
)

// A Kind says what an [Event] tells.
type Kind uint8

const (
	// Ended: a call has returned. A streamed body may still be read.
	Ended Kind = iota
	// Replayed: a request was answered with 401 and is sent again with other
	// credentials.
	Replayed
)

func (k Kind) String() string {
	if k > Replayed {
		return fmt.Sprintf("Kind(%d)", uint8(k))
	}
	return [...]string{"ended", "replayed"}[k]
}

// Event is what Config.Observe is told.
type Event struct {
	Kind     Kind          // says which of the others are set
	Endpoint string        // the endpoint's name
	Method   string        // of the request
	Status   int           // of the response, 0 if there was none
	Elapsed  time.Duration // Ended: since the call began
	Err      *Error        // Ended: nil if it succeeded
}
