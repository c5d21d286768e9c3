// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// width is the line width in columns to which prose is wrapped.
const width = 80

// screen writes the output of the demo.
type screen struct {
	out    io.Writer
	colour bool
}

// newScreen returns a screen that uses colour on a terminal, unless NO_COLOR is set.
func newScreen(out *os.File) *screen {
	return &screen{out: out, colour: os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(out.Fd()))}
}

func (s *screen) paint(code, text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// title writes the heading of a step.
func (s *screen) title(text string) {
	fmt.Fprintln(s.out)
	for _, line := range wrap(text, width) {
		fmt.Fprintln(s.out, s.paint("1", line))
	}
}

// prose writes a paragraph.
func (s *screen) prose(text string) {
	for _, line := range wrap(text, width-2) {
		s.line(line)
	}
}

// line writes a line without changes.
func (s *screen) line(text string) {
	fmt.Fprintln(s.out, strings.TrimRight("  "+text, " "))
}

// wrap splits a text between words into lines of a width.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}

// command writes a command and, indented, its output.
func (s *screen) command(typed, answer string) {
	fmt.Fprintf(s.out, "  %s\n", s.paint("36", "$ "+typed))
	if answer = strings.TrimRight(answer, "\n "); answer != "" {
		fmt.Fprintf(s.out, "    %s\n", strings.ReplaceAll(answer, "\n", "\n    "))
	}
}

// list writes lines under a heading.
func (s *screen) list(heading string, lines []string) {
	s.prose(heading)
	for _, line := range lines {
		s.line("  " + line)
	}
	s.line("")
}

// right and wrong write the two outcomes of a check.
func (s *screen) right(sentence string) {
	lines := wrap(sentence, width-5)
	fmt.Fprintf(s.out, "  %s %s\n", s.paint("32", "ok"), strings.Join(lines, "\n     "))
}

func (s *screen) wrong(sentence string) {
	fmt.Fprintf(s.out, "  %s %s\n", s.paint("31;1", "WRONG"), sentence)
}

// draw writes a picture between empty lines.
func (s *screen) draw(picture string) {
	fmt.Fprintf(s.out, "\n%s\n", picture)
}

// indented writes the cluster's progress indented. It omits the programs that are up to
// date.
type indented struct{ screen *screen }

// Write takes complete lines, because the cluster writes nothing else.
func (w indented) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		if strings.Contains(line, ": up to date") || strings.Contains(line, "binaries ready") {
			continue
		}
		w.screen.line(w.screen.paint("2", strings.TrimRight(line, "\n")))
	}
	return len(p), nil
}
