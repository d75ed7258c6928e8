module github.com/belay-go/belay/internal/conformance

go 1.26.0

require github.com/belay-go/belay v0.0.0

require github.com/hashicorp/golang-lru/v2 v2.0.7 // indirect

replace github.com/belay-go/belay => ../..
