package grpcbelay

import (
	"context"
	"errors"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// errUnwound is how a call ends for a layer if code below has panicked, or called
// runtime.Goexit.
var errUnwound = errors.New("grpcbelay: the call did not return")

// A holder is what a layer holds for a stream. Its methods are not called concurrently,
// and end only once.
type holder interface {
	answered()   // the stream has begun well
	ended(error) // nil: well
}

// A watched stream tells a holder how it goes. It has no goroutine: the end comes from
// gRPC, by way of [grpc.OnFinish], whichever way it comes about.
type watched struct {
	grpc.ClientStream

	mu     sync.Mutex
	holder holder
	heard  bool
	over   bool
}

// watch opens a stream, and watches it for h.
func watch(ctx context.Context, h holder, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts []grpc.CallOption) (grpc.ClientStream, error) {
	s := &watched{holder: h}
	err := errUnwound
	defer func() {
		if err != nil {
			s.end(err)
		}
	}()
	s.ClientStream, err = open(ctx, desc, cc, method, append(opts[:len(opts):len(opts)], grpc.OnFinish(s.end))...)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Header returns the header of the stream, and takes note of it.
func (s *watched) Header() (metadata.MD, error) {
	md, err := s.ClientStream.Header()
	if err == nil && len(md) > 0 { // there is none if the stream has ended before it
		s.hear()
	}
	return md, err
}

// RecvMsg receives a message, and takes note of it.
func (s *watched) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err == nil {
		s.hear()
	} else {
		s.end(err) // gRPC has said so before, but perhaps not a stream of somebody else's
	}
	return err
}

func (s *watched) hear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.heard && !s.over {
		s.heard = true
		s.holder.answered()
	}
}

func (s *watched) end(err error) {
	if err == io.EOF {
		err = nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.over = true
		s.holder.ended(err)
	}
}
