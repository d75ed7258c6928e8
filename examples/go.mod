module github.com/belay-go/belay/examples

go 1.26.0

require (
	github.com/belay-go/belay v0.0.0
	github.com/cenkalti/backoff/v4 v4.3.0
	golang.org/x/time v0.16.0
)

require github.com/hashicorp/golang-lru/v2 v2.0.7 // indirect

replace github.com/belay-go/belay => ../
