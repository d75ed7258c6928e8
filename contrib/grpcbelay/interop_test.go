package grpcbelay_test

import (
	"context"
	"log"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/belay-go/belay/contrib/grpcbelay"
	"github.com/belay-go/belay/ratelimit"
	"github.com/belay-go/belay/retry"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/test/bufconn"
)

// interopCases are the cases of gRPC's interoperability suite, by their names there. Those
// that are missing need credentials of a cloud (compute_engine_creds,
// service_account_creds, jwt_token_creds, oauth2_auth_token, per_rpc_creds,
// google_default_credentials, compute_engine_channel_credentials), a balancer of their own
// in place of ours (pick_first_unary, orca_per_rpc, orca_oob), or a server that is broken
// on purpose.
var interopCases = map[string]func(context.Context, *grpc.ClientConn){
	"empty_unary":                 on(interop.DoEmptyUnaryCall),
	"large_unary":                 on(interop.DoLargeUnaryCall),
	"client_streaming":            on(interop.DoClientStreaming),
	"server_streaming":            on(interop.DoServerStreaming),
	"ping_pong":                   on(interop.DoPingPong),
	"empty_stream":                on(interop.DoEmptyStream),
	"timeout_on_sleeping_server":  on(interop.DoTimeoutOnSleepingServer),
	"cancel_after_begin":          on(interop.DoCancelAfterBegin),
	"cancel_after_first_response": on(interop.DoCancelAfterFirstResponse),
	"custom_metadata":             on(interop.DoCustomMetadata),
	"status_code_and_message":     on(interop.DoStatusCodeAndMessage),
	"special_status_message":      on(interop.DoSpecialStatusMessage),
	"unimplemented_method":        interop.DoUnimplementedMethod,
	"unimplemented_service": func(ctx context.Context, cc *grpc.ClientConn) {
		interop.DoUnimplementedService(ctx, grpc_testing.NewUnimplementedServiceClient(cc))
	},
}

func on(do func(context.Context, grpc_testing.TestServiceClient, ...grpc.CallOption)) func(context.Context, *grpc.ClientConn) {
	return func(ctx context.Context, cc *grpc.ClientConn) { do(ctx, grpc_testing.NewTestServiceClient(cc)) }
}

const interopCase = "GRPCBELAY_INTEROP" // case/network/stack, for a child process

// The cases end the process when they fail, so each has one of its own: with everything in
// between, and without.
func TestInterop(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts processes")
	}
	for name := range interopCases {
		for _, network := range []string{"loopback", "memory"} {
			for _, stack := range []string{"plain", "retried", "hedged"} {
				run := name + "/" + network + "/" + stack
				t.Run(run, func(t *testing.T) {
					cmd := exec.Command(os.Args[0], "-test.run=^TestInteropChild$")
					cmd.Env = append(os.Environ(), interopCase+"="+run)
					if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS") {
						t.Errorf("%v: %s", err, out)
					}
				})
			}
		}
	}
}

// TestInteropChild runs one case.
func TestInteropChild(t *testing.T) {
	run := os.Getenv(interopCase)
	if run == "" {
		t.Skip("a part of TestInterop")
	}
	part := strings.Split(run, "/")
	var l net.Listener
	var target string
	opts := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	if part[1] == "memory" {
		b := bufconn.Listen(1 << 20)
		l, target = b, "passthrough:///memory"
		opts = append(opts, grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return b.DialContext(ctx) }))
	} else {
		var err error
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		target = l.Addr().String()
	}
	var serverOpts []grpc.ServerOption
	if part[2] != "plain" {
		opts = append(opts, everything(part[2] == "hedged")...)
		serverOpts = intercepted(&grpcbelay.Server{
			Take:        func(context.Context, string) ratelimit.Decision { return ratelimit.Decision{OK: true} },
			Concurrency: ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Limit: 100}),
		})
	}
	s := grpc.NewServer(serverOpts...)
	grpc_testing.RegisterTestServiceServer(s, interop.NewTestServer())
	go s.Serve(l)
	defer s.Stop()
	cc, err := grpc.NewClient(target, opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	log.SetOutput(os.Stderr)
	interopCases[part[0]](ctx, cc)
}

// everything is all interceptors of a client, and the balancer.
func everything(hedged bool) []grpc.DialOption {
	retries := &grpcbelay.Retry{Idempotent: anyMethod}
	if hedged {
		retries.Hedger = retry.NewHedger(retry.HedgeConfig{Delay: time.Nanosecond, Max: 3, Budget: retry.NoBudget})
	}
	breakers := &grpcbelay.Breaker{}
	limits := &grpcbelay.Limit{
		Limiter:     ratelimit.New(ratelimit.Config{Rate: 1e6, Burst: 100}),
		Concurrency: ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Limit: 100}),
	}
	return []grpc.DialOption{
		grpc.WithDisableRetry(),
		grpc.WithChainUnaryInterceptor(retries.Unary, breakers.Unary, limits.Unary),
		grpc.WithChainStreamInterceptor(retries.Stream, breakers.Stream, limits.Stream),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"belay": {}}]}`),
	}
}
