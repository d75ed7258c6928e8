package facade_test

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestMistakesDoNotCompile compiles testdata/wrong: each line with an ERROR comment
// must have errors, all of which the expression matches, and no other line any.
func TestMistakesDoNotCompile(t *testing.T) {
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("there is no go command")
	}
	text, err := os.ReadFile("testdata/wrong/wrong.go")
	if err != nil {
		t.Fatal(err)
	}
	want := map[int]*regexp.Regexp{}
	comment := regexp.MustCompile(`// ERROR "(.*)"`)
	for i, line := range strings.Split(string(text), "\n") {
		if m := comment.FindStringSubmatch(line); m != nil {
			want[i+1] = regexp.MustCompile(m[1])
		}
	}
	if len(want) < 15 {
		t.Fatalf("found %d mistakes only", len(want))
	}

	out, err := exec.Command(tool, "build", "-gcflags=-e", "./testdata/wrong").CombinedOutput()
	if err == nil {
		t.Fatal("it compiles")
	}
	found := map[int]bool{}
	message := regexp.MustCompile(`wrong\.go:(\d+):\d+: (.*)`)
	for _, m := range message.FindAllStringSubmatch(string(out), -1) {
		line, _ := strconv.Atoi(m[1])
		found[line] = true
		if want[line] == nil || !want[line].MatchString(m[2]) {
			t.Errorf("line %d: %s; want %v", line, m[2], want[line])
		}
	}
	for line, expr := range want {
		if !found[line] {
			t.Errorf("line %d compiles; want %v", line, expr)
		}
	}
	if t.Failed() {
		t.Logf("%s", out)
	}
}
