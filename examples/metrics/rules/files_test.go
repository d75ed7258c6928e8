package rules

import (
	"encoding/json"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

var promQL = parser.NewParser(parser.Options{})

// alerts returns the rules of alerts.yml.
func alerts(t *testing.T) []rulefmt.Rule {
	t.Helper()
	groups, errs := rulefmt.ParseFile("../alerts.yml", false, model.UTF8Validation, promQL, slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	var all []rulefmt.Rule
	for _, g := range groups.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) == 0 {
		t.Fatal("alerts.yml has no rules")
	}
	return all
}

// queries returns those of dashboard.json, as Grafana sends them.
func queries(t *testing.T) (all []string) {
	t.Helper()
	var board struct {
		Panels []struct {
			Targets []struct{ Expr string }
		}
	}
	text, err := os.ReadFile("../dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			all = append(all, strings.NewReplacer("$__rate_interval", "1m", "$name", "shop").Replace(target.Expr))
		}
	}
	if len(all) == 0 {
		t.Fatal("dashboard.json has no queries")
	}
	return all
}

// exported returns the labels of each metric that the example exports.
func exported(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("../testdata/metrics.txt")
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string][]string{}
	for _, m := range regexp.MustCompile(`(?m)^(\w+)(?:\{(.*)\})? `).FindAllStringSubmatch(string(text), -1) {
		labels[m[1]] = append(labels[m[1]], "job", "instance") // which a scrape adds
		for _, label := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(m[2], -1) {
			labels[m[1]] = append(labels[m[1]], label[1])
		}
	}
	return labels
}

// Every metric and every label of every query is exported.
func TestNames(t *testing.T) {
	known := exported(t)
	all := queries(t)
	for _, r := range alerts(t) {
		all = append(all, r.Expr)
	}
	for _, query := range all {
		expr, err := promQL.ParseExpr(query)
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		var labels []string // that some metric of the query has
		parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
			if v, ok := node.(*parser.VectorSelector); ok {
				if known[v.Name] == nil {
					t.Errorf("%s: %s is not exported", query, v.Name)
				}
				for _, m := range v.LabelMatchers {
					if m.Name != model.MetricNameLabel && !slices.Contains(known[v.Name], m.Name) {
						t.Errorf("%s: %s has no label %s", query, v.Name, m.Name)
					}
				}
				labels = append(labels, known[v.Name]...)
			}
			return nil
		})
		parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
			if a, ok := node.(*parser.AggregateExpr); ok {
				for _, label := range a.Grouping {
					if !slices.Contains(labels, label) {
						t.Errorf("%s: no metric has the label %s", query, label)
					}
				}
			}
			return nil
		})
	}
}

// Each rule says how loud it is, and in words what it means.
func TestAlertsAreComplete(t *testing.T) {
	for _, r := range alerts(t) {
		if s := r.Labels["severity"]; s != "page" && s != "ticket" || r.Annotations["summary"] == "" || time.Duration(r.For) < time.Minute {
			t.Errorf("%s: severity %q, for %v, summary %q", r.Alert, s, r.For, r.Annotations["summary"])
		}
	}
}
