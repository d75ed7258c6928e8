package sim

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// A Table is a table of results, row by row. The first row is the head.
type Table [][]string

// Row adds a row. Times are rounded to milliseconds, floating-point numbers to three places; everything else looks as in fmt.Print.
func (t *Table) Row(cells ...any) {
	row := make([]string, len(cells))
	for i, cell := range cells {
		switch v := cell.(type) {
		case time.Duration:
			cell = v.Round(time.Millisecond)
		case float64:
			cell = fmt.Sprintf("%.3f", v)
		}
		row[i] = fmt.Sprint(cell)
	}
	*t = append(*t, row)
}

// String returns the table as aligned text: the first column to the left, the others to the right.
func (t Table) String() string { return t.format("", "  ", "") }

// Markdown returns the table as Markdown.
func (t Table) Markdown() string { return t.format("| ", " | ", " |") }

func (t Table) format(left, middle, right string) string {
	var widths []int
	for _, row := range t {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 3)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var out strings.Builder
	line := func(cell func(i, width int) string) {
		cells := make([]string, len(widths))
		for i, width := range widths {
			cells[i] = cell(i, width)
		}
		out.WriteString(strings.TrimRight(left+strings.Join(cells, middle)+right, " ") + "\n")
	}
	for n, row := range t {
		line(func(i, width int) string {
			if i == 0 {
				width = -width
			}
			if i >= len(row) {
				return fmt.Sprintf("%*s", width, "")
			}
			return fmt.Sprintf("%*s", width, row[i])
		})
		if n == 0 && left != "" {
			line(func(i, width int) string {
				if i == 0 {
					return strings.Repeat("-", width)
				}
				return strings.Repeat("-", width-1) + ":"
			})
		}
	}
	return out.String()
}
