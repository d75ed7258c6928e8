package grpcbelay

import "google.golang.org/grpc"

// maxKeys bounds what is kept for each authority.
const maxKeys = 1024

// authority returns what a call goes to: the authority that it asks for, and otherwise
// the target of its connection.
func authority(cc *grpc.ClientConn, opts []grpc.CallOption) string {
	for _, o := range opts {
		if a, ok := o.(grpc.AuthorityOverrideCallOption); ok {
			return a.Authority
		}
	}
	if cc == nil {
		return ""
	}
	return cc.CanonicalTarget()
}
