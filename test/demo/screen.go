// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// screen writes what the viewer reads.
type screen struct {
	out    io.Writer
	colour bool
}

// newScreen uses colour on a terminal, unless NO_COLOR is set.
func newScreen(out *os.File) *screen {
	return &screen{out: out, colour: os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(out.Fd()))}
}

func (s *screen) paint(code, text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// title opens a step.
func (s *screen) title(text string) {
	fmt.Fprintf(s.out, "\n%s\n", s.paint("1", text))
}

// say writes a line of prose.
func (s *screen) say(text string) {
	fmt.Fprintln(s.out, strings.TrimRight("  "+text, " "))
}

// command shows what was typed and, indented, what it answered.
func (s *screen) command(typed, answer string) {
	fmt.Fprintf(s.out, "  %s\n", s.paint("36", "$ "+typed))
	if answer = strings.TrimRight(answer, "\n "); answer != "" {
		fmt.Fprintf(s.out, "    %s\n", strings.ReplaceAll(answer, "\n", "\n    "))
	}
}

// list writes lines under a heading.
func (s *screen) list(heading string, lines []string) {
	s.say(heading)
	for _, line := range lines {
		s.say("  " + line)
	}
	s.say("")
}

// right and wrong are the two outcomes of a check.
func (s *screen) right(sentence string) {
	fmt.Fprintf(s.out, "  %s %s\n", s.paint("32", "ok"), sentence)
}

func (s *screen) wrong(sentence string) {
	fmt.Fprintf(s.out, "  %s %s\n", s.paint("31;1", "WRONG"), sentence)
}

// draw shows a picture between empty lines.
func (s *screen) draw(picture string) {
	fmt.Fprintf(s.out, "\n%s\n", picture)
}

// indented writes the cluster's progress as part of the demo, without the
// programs that need no building.
type indented struct{ screen *screen }

// Write takes whole lines; the cluster writes nothing else.
func (w indented) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		if strings.Contains(line, ": up to date") || strings.Contains(line, "binaries ready") {
			continue
		}
		w.screen.say(w.screen.paint("2", strings.TrimRight(line, "\n")))
	}
	return len(p), nil
}
