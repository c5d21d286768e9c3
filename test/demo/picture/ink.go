// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package picture

import (
	"regexp"
	"unicode/utf8"
)

// ink writes with or without colour. Colours only repeat the information of the letters.
type ink struct{ colour bool }

// blank is the ink without colour.
var blank = ink{}

// palette holds the colours of the gangs, used in rotation: black on cyan, yellow, magenta,
// green, blue.
var palette = []string{"30;46", "30;43", "30;45", "30;42", "30;44"}

func (k ink) letter(of Letter, text string) string {
	return k.paint(palette[int(of-'A')%len(palette)], text)
}

func (k ink) bold(text string) string  { return k.paint("1", text) }
func (k ink) faint(text string) string { return k.paint("2", text) }

func (k ink) paint(code, text string) string {
	if !k.colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

var escapes = regexp.MustCompile("\x1b\\[[0-9;]*m")

// visible returns the number of terminal cells of a text.
func visible(text string) int {
	return utf8.RuneCountInString(escapes.ReplaceAllString(text, ""))
}
