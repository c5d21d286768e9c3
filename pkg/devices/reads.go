// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"slices"
	"strings"
)

// readSet is what a CEL selector can read of a device besides its driver, capacities and allowMultipleAllocations. It
// keeps answers reusable: devices that are equal in what a selector reads get the same answer, though each has a UUID.
type readSet struct {
	// everything is set when the expression might read any attribute; then only entirely equal devices share answers.
	everything bool
	attributes []string
}

func (r *readSet) add(other readSet) {
	r.everything = r.everything || other.everything
	r.attributes = append(r.attributes, other.attributes...)
	slices.Sort(r.attributes)
	r.attributes = slices.Compact(r.attributes)
}

// readsOf finds which attributes an expression reads. The variable `device` is the only way to a device's data, so it
// is enough that every mention of it is one of
//
//	device.driver   device.allowMultipleAllocations   device.capacity...
//	device.attributes["domain"].name   device.attributes["domain"]["name"]
//	device.attributes["domain"].?name   "name" in device.attributes["domain"]
//
// Whatever else is found (macros over the map, computed keys, unusual literals) gives up and says
// "everything", which is always right.
func readsOf(expression string) readSet {
	tokens, ok := tokenize(expression)
	if !ok {
		return readSet{everything: true}
	}
	var reads readSet
	for i := range tokens {
		if !tokens[i].is("device") {
			continue
		}
		name, ok := mention(tokens, i)
		if !ok {
			return readSet{everything: true}
		}
		if name != "" {
			reads.add(readSet{attributes: []string{name}})
		}
	}
	return reads
}

// mention reads one access that starts with the token `device` at position i: the attribute it reads, "" for none.
func mention(tokens []celToken, i int) (attribute string, ok bool) {
	at := func(offset int) celToken {
		if i+offset < 0 || i+offset >= len(tokens) {
			return celToken{}
		}
		return tokens[i+offset]
	}
	if at(-1).is(".") || !at(1).is(".") {
		return "", false
	}
	switch at(2).text {
	case "driver", "allowMultipleAllocations", "capacity":
		return "", true
	case "attributes":
		if !at(3).is("[") || !at(4).literal || !at(5).is("]") {
			return "", false
		}
		name, ok := entryName(at)
		return at(4).text + "/" + name, ok
	}
	return "", false
}

// entryName finds which entry of a domain's map is read: behind the brackets, or before the word `in`. A name that is
// called is a macro or function over the map, and a literal that is part of a larger operand is not the whole key.
func entryName(at func(int) celToken) (string, bool) {
	switch {
	case at(6).is(".") && at(7).is("?") && at(8).identifier():
		return at(8).text, !at(9).is("(")
	case at(6).is(".") && at(7).identifier():
		return at(7).text, !at(8).is("(")
	case at(6).is("[") && at(7).literal && at(8).is("]"):
		return at(7).text, true
	case at(-1).is("in") && at(-2).literal && !at(6).is(".") && !at(6).is("["):
		return at(-2).text, len(at(-3).text) <= 1 && strings.Contains("(&|?:,", at(-3).text)
	}
	return "", false
}

// celToken is a name, a number, a plain string literal or one character of punctuation.
type celToken struct {
	text    string
	literal bool
}

func (t celToken) is(text string) bool { return !t.literal && t.text == text }

func (t celToken) identifier() bool {
	return !t.literal && t.text != "" && isWordByte(t.text[0]) && (t.text[0] < '0' || t.text[0] > '9')
}

// tokenize splits an expression; false means that it holds something this simple reader does not understand.
func tokenize(expression string) ([]celToken, bool) {
	var tokens []celToken
	for i := 0; i < len(expression); {
		c := expression[i]
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
		case c == '"' || c == '\'':
			text, ok := plainLiteral(expression[i:])
			if !ok || len(tokens) > 0 && isLiteralPrefix(tokens[len(tokens)-1], expression, i) {
				return nil, false
			}
			tokens = append(tokens, celToken{text: text, literal: true})
			i += len(text) + 2
		case isWordByte(c):
			end := i
			for end < len(expression) && isWordByte(expression[end]) {
				end++
			}
			tokens = append(tokens, celToken{text: expression[i:end]})
			i = end
		case c == '`' || c >= 0x80 || strings.HasPrefix(expression[i:], "//"):
			return nil, false
		default:
			tokens = append(tokens, celToken{text: string(c)})
			i++
		}
	}
	return tokens, true
}

// plainLiteral reads a one-line string without escapes; triple quotes and backslashes are not plain.
func plainLiteral(text string) (string, bool) {
	quote := text[0]
	if len(text) >= 3 && text[1] == quote && text[2] == quote {
		return "", false
	}
	end := strings.IndexByte(text[1:], quote)
	if end < 0 {
		return "", false
	}
	body := text[1 : 1+end]
	return body, !strings.ContainsAny(body, "\\\n\r")
}

// isLiteralPrefix spots raw and bytes literals: a word that touches the opening quote.
func isLiteralPrefix(last celToken, expression string, quote int) bool {
	return !last.literal && quote > 0 && isWordByte(expression[quote-1])
}

func isWordByte(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
