package main

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What the alerts and the dashboard speak of is exported. The module in rules looks
// closer, and evaluates them.
func TestFilesSpeakOfWhatIsExported(t *testing.T) {
	text, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^(\w+)(?:\{(.*)\})? `).FindAllStringSubmatch(string(text), -1) {
		known[m[1]] = true
		for _, label := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(m[2], -1) {
			known[label[1]] = true
		}
	}
	for _, file := range []string{"alerts.yml", "dashboard.json", "WATCHING.md"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		names := map[string]bool{}
		for _, name := range regexp.MustCompile(`\b(belay|http_client)_\w+`).FindAllString(string(text), -1) {
			names[name] = true
		}
		if len(names) < 5 {
			t.Errorf("%s has the names %v only", file, names)
		}
		for _, name := range slices.Sorted(maps.Keys(names)) {
			if !known[name] {
				t.Errorf("%s has %s, which is not exported", file, name)
			}
		}
	}
}

// WATCHING.md has a heading for each alert, and no other.
func TestEachAlertIsExplained(t *testing.T) {
	alerts, err := os.ReadFile("alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("WATCHING.md")
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, m := range regexp.MustCompile(`(?m)- alert: (\w+)$`).FindAllStringSubmatch(string(alerts), -1) {
		want = append(want, m[1])
	}
	for _, m := range regexp.MustCompile(`(?m)^### (\w+)`).FindAllStringSubmatch(string(page), -1) {
		got = append(got, m[1])
	}
	if len(want) != 5 || !slices.Equal(want, got) {
		t.Errorf("the alerts are %s; explained are %s", strings.Join(want, ", "), strings.Join(got, ", "))
	}
}
