package grpcbelay

import (
	"context"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

func (s *retried) SendMsg(m any) error {
	err := s.keep(m).SendMsg(m)
	if err == nil {
		return nil
	}
	if _, open := s.current(); open && err == io.EOF {
		return nil // it is kept, and whoever receives learns what has happened
	}
	s.commit()
	return err
}

// keep keeps m, if there may be another attempt, and returns the attempt to send it with.
func (s *retried) keep(m any) grpc.ClientStream {
	s.sending.Lock()
	defer s.sending.Unlock()
	cs, open := s.current()
	if !open {
		s.kept = nil
		return cs
	}
	p, ok := m.(proto.Message)
	if ok {
		s.size += proto.Size(p)
	}
	if !ok || s.size > maxKept {
		s.kept = nil
		cs, _ = s.commit()
		return cs
	}
	s.kept = append(s.kept, m)
	return cs
}

func (s *retried) CloseSend() error {
	s.sending.Lock()
	s.closed = true
	cs, _ := s.current()
	s.sending.Unlock()
	return cs.CloseSend()
}

func (s *retried) RecvMsg(m any) error {
	if cs, open := s.current(); !open {
		if err := s.failure(); err != nil {
			return err
		}
		defer s.release()
		return cs.RecvMsg(m)
	}
	defer s.release()
	return s.first(func(cs grpc.ClientStream) error { return cs.RecvMsg(m) })
}

// Header returns the header. A stream that has failed before it has none, and is tried
// again.
func (s *retried) Header() (md metadata.MD, err error) {
	if cs, open := s.current(); !open {
		return cs.Header()
	}
	s.first(func(cs grpc.ClientStream) error {
		if md, err = cs.Header(); err != nil || len(md) > 0 {
			return err
		}
		return cs.RecvMsg(nil) // there is no message: this tells why
	})
	return md, err
}

// release ends the context of an attempt that has ended: not before gRPC and the layers
// below know, who would take it for the caller's cancel.
func (s *retried) release() {
	s.mu.Lock()
	cancel, over := s.cancel, s.over
	s.mu.Unlock()
	if over {
		cancel(nil)
	}
}

// Trailer returns the trailer of the last attempt.
func (s *retried) Trailer() metadata.MD {
	cs, _ := s.commit()
	return cs.Trailer()
}

// Context returns the context of the attempt, which is the last one therefore.
func (s *retried) Context() context.Context {
	cs, _ := s.commit()
	return cs.Context()
}
