// Controller, of model, view and controller: what a request asks for, which page answers
// it, and nothing that is a rule of booking. Not worth a framework for a handful of pages.

// Package desk is the front desk: pages on which guests book and wardens see who comes.
// They are plain HTML and need no script.
package desk

import (
	"context"
	"crypto/rand"
	"embed"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/belay-go/belay/examples/huts/app"
	"github.com/belay-go/belay/examples/huts/domain"
	"github.com/belay-go/belay/examples/huts/platform"
	"github.com/belay-go/belay/examples/huts/service/booking"
	"github.com/belay-go/belay/gateway"
)

// A Desk serves the pages. All fields must be set.
type Desk struct {
	Model    *Model
	Huts     []domain.Hut
	Sessions *platform.Sessions
	// SignIn returns a token of the identity provider.
	SignIn func(ctx context.Context, name, hut string) (token string, err error)
}

//go:embed pages
var pages embed.FS

var views = platform.NewViews(pages, "")

// Handler returns the pages, all below /desk/.
func (d *Desk) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /desk/signin", d.signin)
	mux.HandleFunc("POST /desk/signin", d.signedIn)
	mux.HandleFunc("POST /desk/signout", d.signout)
	mux.HandleFunc("GET /desk/{$}", signed(d.bookings))
	mux.HandleFunc("POST /desk/bookings", signed(d.book))
	mux.HandleFunc("GET /desk/bookings/{hut}/{date}/{id}", signed(d.booking))
	mux.HandleFunc("POST /desk/bookings/{hut}/{date}/{id}/cancel", signed(d.cancel))
	mux.HandleFunc("GET /desk/arrivals", signed(d.arrivals))
	mux.HandleFunc("/desk/", func(w http.ResponseWriter, r *http.Request) {
		problem(w, r, http.StatusNotFound, "There is no such page.")
	})
	// A form that another site sends with the visitor's cookie is refused by what the
	// browser says of its origin: no token in each form is needed.
	foreign := http.NewCrossOriginProtection()
	foreign.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		problem(w, r, http.StatusForbidden, "This form was sent by another site.")
	}))
	return foreign.Handler(d.Sessions.Handler(mux))
}

// signed returns h for people who have signed in. It sends others to do so.
func signed(h func(http.ResponseWriter, *http.Request, app.Person)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p, ok := platform.Who(r.Context())
		if !ok {
			http.Redirect(w, r, "/desk/signin", http.StatusSeeOther)
			return
		}
		h(w, r, p)
	}
}

type signinPage struct {
	Name    string
	Hut     domain.HutID
	Huts    []domain.Hut
	Problem string
}

func (d *Desk) signin(w http.ResponseWriter, r *http.Request) {
	views.Show(w, r, http.StatusOK, "signin", signinPage{Huts: d.Huts})
}

func (d *Desk) signedIn(w http.ResponseWriter, r *http.Request) {
	page := signinPage{Name: strings.TrimSpace(r.PostFormValue("name")), Hut: domain.HutID(r.PostFormValue("hut")), Huts: d.Huts}
	if page.Name == "" {
		page.Problem = "Please say your name."
		views.Show(w, r, http.StatusUnprocessableEntity, "signin", page)
		return
	}
	token, err := d.SignIn(r.Context(), page.Name, string(page.Hut))
	if err == nil {
		err = d.Sessions.Begin(w, r, token)
	}
	if err != nil {
		slog.WarnContext(r.Context(), "desk: nobody can sign in", "err", err)
		page.Problem = "The identity provider does not answer. Please try again in a moment."
		views.Show(w, r, http.StatusServiceUnavailable, "signin", page)
		return
	}
	to := "/desk/"
	if page.Hut != "" {
		to = "/desk/arrivals"
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

func (d *Desk) signout(w http.ResponseWriter, r *http.Request) {
	d.Sessions.End(w, r)
	http.Redirect(w, r, "/desk/signin", http.StatusSeeOther)
}

type bookingsPage struct {
	Bookings []bookingPage
	Unknown  string // why they are not there
	Huts     []domain.Hut

	// The form.
	Key     string
	Hut     domain.HutID
	Date    domain.Date
	Beds    string
	Problem string
}

func (d *Desk) bookings(w http.ResponseWriter, r *http.Request, _ app.Person) {
	d.showBookings(w, r, http.StatusOK, bookingsPage{Key: rand.Text(), Date: tonight(), Beds: "1"})
}

func (d *Desk) showBookings(w http.ResponseWriter, r *http.Request, status int, page bookingsPage) {
	page.Huts = d.Huts
	mine, err := d.Model.mine.Call(r.Context(), gateway.None{})
	if err != nil {
		_, page.Unknown, _ = said(err)
	}
	for _, b := range mine {
		page.Bookings = append(page.Bookings, bookingPage{b, d.name(b.Hut)})
	}
	views.Show(w, r, status, "bookings", page)
}

// book books, and shows the form again if that failed. Its key is the same as long as
// nobody knows whether it failed, so that trying again cannot book twice.
func (d *Desk) book(w http.ResponseWriter, r *http.Request, _ app.Person) {
	page := bookingsPage{
		Key: r.PostFormValue("key"), Hut: domain.HutID(r.PostFormValue("hut")), Date: domain.Date(r.PostFormValue("date")), Beds: r.PostFormValue("beds"),
	}
	refuse := func(status int, text string) {
		page.Problem = text
		d.showBookings(w, r, status, page)
	}
	n, err := strconv.Atoi(page.Beds)
	if _, dateErr := domain.ParseDate(string(page.Date)); err != nil || dateErr != nil || page.Key == "" || page.Hut == "" {
		if page.Key == "" {
			page.Key = rand.Text()
		}
		refuse(http.StatusUnprocessableEntity, "A booking needs a hut, a night and a number of beds.")
		return
	}
	b, err := d.Model.Book(r.Context(), page.Key, page.Hut, page.Date, n)
	if err != nil {
		status, text, known := said(err)
		if known {
			page.Key = rand.Text()
		}
		refuse(status, text)
		return
	}
	http.Redirect(w, r, place(app.RefOf(b)), http.StatusSeeOther)
}

type bookingPage struct {
	domain.Booking
	Name string // of the hut
}

// name returns that of a hut.
func (d *Desk) name(id domain.HutID) string {
	for _, h := range d.Huts {
		if h.ID == id {
			return h.Name
		}
	}
	return string(id)
}

func (d *Desk) booking(w http.ResponseWriter, r *http.Request, _ app.Person) {
	b, err := d.Model.find.Call(r.Context(), at(ref(r)))
	if err != nil {
		failed(w, r, err)
		return
	}
	views.Show(w, r, http.StatusOK, "booking", bookingPage{b, d.name(b.Hut)})
}

func (d *Desk) cancel(w http.ResponseWriter, r *http.Request, _ app.Person) {
	b, err := d.Model.cancel.Call(r.Context(), at(ref(r)))
	if err != nil {
		failed(w, r, err)
		return
	}
	http.Redirect(w, r, place(app.RefOf(b)), http.StatusSeeOther)
}

type arrivalsPage struct {
	Night         booking.Night
	Taken         int
	Tonight       bool
	Before, After string
	Bookings      []domain.Booking
}

func (d *Desk) arrivals(w http.ResponseWriter, r *http.Request, p app.Person) {
	date := tonight()
	if s := r.FormValue("date"); s != "" {
		date = domain.Date(s)
	}
	day, err := time.Parse(time.DateOnly, string(date))
	if err != nil {
		problem(w, r, http.StatusBadRequest, "That is not a day such as 2027-07-31.")
		return
	}
	if p.Warden == "" {
		problem(w, r, http.StatusForbidden, "The arrivals are for wardens.")
		return
	}
	page := arrivalsPage{Tonight: date == tonight(), Before: day.AddDate(0, 0, -1).Format(time.DateOnly), After: day.AddDate(0, 0, 1).Format(time.DateOnly)}
	if page.Night, err = d.Model.night.Call(r.Context(), night{p.Warden, date}); err == nil {
		page.Bookings, err = d.Model.arrivals.Call(r.Context(), night{p.Warden, date})
	}
	if err != nil {
		failed(w, r, err)
		return
	}
	page.Taken = page.Night.Beds - page.Night.Free
	views.Show(w, r, http.StatusOK, "arrivals", page)
}

func tonight() domain.Date { return domain.Date(time.Now().Format(time.DateOnly)) }

// ref returns the booking that the path names.
func ref(r *http.Request) app.Ref {
	return app.Ref{Hut: domain.HutID(r.PathValue("hut")), Date: domain.Date(r.PathValue("date")), Booking: domain.BookingID(r.PathValue("id"))}
}

// place is where the page of a booking is.
func place(at app.Ref) string {
	return fmt.Sprintf("/desk/bookings/%s/%s/%s", url.PathEscape(string(at.Hut)), at.Date, url.PathEscape(string(at.Booking)))
}

// failed answers with what an error of the model means.
func failed(w http.ResponseWriter, r *http.Request, err error) {
	status, text, _ := said(err)
	problem(w, r, status, text)
}

type problemPage struct{ Title, Detail string }

func problem(w http.ResponseWriter, r *http.Request, status int, detail string) {
	views.Show(w, r, status, "problem", problemPage{http.StatusText(status), detail})
}
