package grpcbelay_test

import (
	"sync"
	"testing"

	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	_ "google.golang.org/protobuf/types/known/emptypb"
)

var registered sync.Once

// register makes a service known whose methods say whether they are idempotent.
func register(t *testing.T) {
	t.Helper()
	registered.Do(func() {
		method := func(name string, level *descriptorpb.MethodOptions_IdempotencyLevel) *descriptorpb.MethodDescriptorProto {
			return &descriptorpb.MethodDescriptorProto{
				Name:       new(name),
				InputType:  new(".google.protobuf.Empty"),
				OutputType: new(".google.protobuf.Empty"),
				Options:    &descriptorpb.MethodOptions{IdempotencyLevel: level},
			}
		}
		file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
			Name:       new("grpcbelay_test.proto"),
			Package:    new("grpcbelay.test"),
			Dependency: []string{"google/protobuf/empty.proto"},
			Syntax:     new("proto3"),
			Service: []*descriptorpb.ServiceDescriptorProto{{
				Name: new("Shop"),
				Method: []*descriptorpb.MethodDescriptorProto{
					method("Price", descriptorpb.MethodOptions_NO_SIDE_EFFECTS.Enum()),
					method("Cancel", descriptorpb.MethodOptions_IDEMPOTENT.Enum()),
					method("Buy", nil),
				},
			}},
		}, protoregistry.GlobalFiles)
		if err == nil {
			err = protoregistry.GlobalFiles.RegisterFile(file)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
}
