// Authorization: who may do what is a rule of the application, asked where the thing is
// that it is about. Not worth more than one function before there are roles that people
// hand out.

package app

import (
	"errors"
	"fmt"

	"github.com/belay-go/belay/examples/huts/domain"
)

// A Person is somebody who has said who he is, and has proved it.
type Person struct {
	Name   string
	Warden domain.HutID // the hut whose warden he is, or ""
}

// ErrForbidden says that something is there, and not for this person.
var ErrForbidden = errors.New("forbidden")

// May tells whether a booking exists for a person: it is his own, or one at his hut.
func (p Person) May(b domain.Booking) bool {
	return p.Name == b.Guest || p.Warden != "" && p.Warden == b.Hut
}

// find returns a booking of the night, if it exists for the person. One that is not his
// to see is as good as none: he must not learn that there is one.
func (p Person) find(n *domain.Night, id domain.BookingID) (domain.Booking, error) {
	b, err := n.Booking(id)
	if err != nil || !p.May(b) {
		return domain.Booking{}, fmt.Errorf("%w: no booking %q at %s on %s", domain.ErrNotFound, id, n.Hut.ID, n.Date)
	}
	return b, nil
}
