module github.com/belay-go/belay/examples

go 1.26.0

require github.com/belay-go/belay v0.0.0

replace github.com/belay-go/belay => ../
