// Operation: what a person does to a running system. Not worth a page of its own before
// it is done often.

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/belay-go/belay/examples/huts/adapter/bus"
	"github.com/belay-go/belay/examples/huts/world"
)

// system returns the system of the world with a name, or nil.
func (p *program) system(name string) *world.System {
	for _, s := range p.World.Systems() {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// asked tells how many requests each system got.
func (p *program) asked() string {
	var s []string
	for _, system := range p.World.Systems() {
		s = append(s, fmt.Sprintf("%s %d", system.Name, system.Asked()))
	}
	return strings.Join(s, ", ")
}

// deadLetters prints what consumers could not handle, and replays it if asked to.
func deadLetters(ctx context.Context, c config, replay bool, out io.Writer) (err error) {
	var b *bus.Bus
	switch {
	case c.NATS != "":
		b, err = bus.Connect(ctx, c.NATS)
	case c.Data != "":
		b, err = bus.Embed(ctx, filepath.Join(c.Data, "nats"))
	default:
		err = errors.New("huts: where are the letters? Set -data or NATS_URL")
	}
	if err != nil {
		return err
	}
	defer b.Close()
	letters, err := b.Letters(ctx)
	if err != nil {
		return err
	}
	for _, l := range letters {
		fmt.Fprintf(out, "%d %s, for %s: %s\n", l.Number, l.ID, l.Consumer, l.Why)
		if replay {
			if err := b.Replay(ctx, l); err != nil {
				return err
			}
		}
	}
	fmt.Fprintf(out, "%d dead letters\n", len(letters))
	return nil
}
