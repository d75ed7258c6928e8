package recipes

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/retry"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// health answers with what it is told.
type health struct {
	grpc_health_v1.UnimplementedHealthServer
	check func() error
}

func (h *health) Check(context.Context, *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	return &grpc_health_v1.HealthCheckResponse{}, h.check()
}

// dialHealth starts a server on loopback, and connects to it.
func dialHealth(t *testing.T, check func() error, opts ...grpc.DialOption) grpc_health_v1.HealthClient {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, &health{check: check})
	go server.Serve(l)
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient(l.Addr().String(), append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return grpc_health_v1.NewHealthClient(conn)
}

func TestGRPCCodes(t *testing.T) {
	want := map[codes.Code]result{
		codes.OK:                fine,
		codes.ResourceExhausted: {3, "ignored"},
		codes.Unavailable:       theirs,
		codes.Unknown:           {1, "failure"},
		codes.DeadlineExceeded:  {1, "failure"},
		codes.Internal:          {1, "failure"},
		codes.DataLoss:          {1, "failure"},
	}
	var code codes.Code
	client := dialHealth(t, func() error { return status.Error(code, "as told") })
	for code = range codes.Unauthenticated + 1 {
		t.Run(code.String(), func(t *testing.T) {
			want, ok := want[code]
			if !ok {
				want = answer
			}
			got := judge(t, GRPCDecision, GRPCOutcome, func(ctx context.Context) error {
				_, err := client.Check(ctx, nil)
				return err
			})
			if got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		})
	}
}

func TestGRPCInterceptor(t *testing.T) {
	var errs []error
	var waits []time.Duration
	policy := retry.New(retry.Config{
		Schedule: retry.Constant(0),
		Classify: GRPCDecision,
		Observe: func(_ context.Context, e retry.Event) {
			if e.Kind == retry.Retrying {
				waits = append(waits, e.Delay)
			}
		},
	})
	guard := breaker.New(breaker.Config{Classify: GRPCOutcome})
	client := dialHealth(t, func() (err error) {
		if len(errs) > 0 {
			err, errs = errs[0], errs[1:]
		}
		return err
	}, grpc.WithUnaryInterceptor(GRPCInterceptor(policy, guard)))

	pushback, err := status.New(codes.Unavailable, "in a moment").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(30 * time.Millisecond)})
	if err != nil {
		t.Fatal(err)
	}
	errs = []error{pushback.Err(), status.Error(codes.Unavailable, "restarting")}
	if _, err := client.Check(ctx, nil); err != nil || len(waits) != 2 || waits[0] < 30*time.Millisecond || waits[1] != 0 {
		t.Errorf("after waits of %v the call returns %v, want 30ms at least, 0, and no error", waits, err)
	}

	for range 10 {
		errs = []error{status.Error(codes.NotFound, "no such service")}
		if _, err := client.Check(ctx, nil); status.Code(err) != codes.NotFound || len(errs) > 0 {
			t.Errorf("NotFound came back as %v", err)
		}
	}
	if got := guard.State(); got != breaker.Closed {
		t.Errorf("after ten times NotFound the breaker is %v", got)
	}
}
