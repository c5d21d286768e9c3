// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"slices"
	"strings"
)

// readSet is the set of device attributes that a CEL selector may read. Selectors may
// also read the driver, capacities and allowMultipleAllocations. The set makes results of
// selectors reusable: devices with equal values of these attributes get the same result,
// although each has its own UUID.
type readSet struct {
	// everything is true if the selector may read any attribute. Then only devices with
	// equal attributes share results.
	everything bool
	attributes []string
}

func (r *readSet) add(other readSet) {
	r.everything = r.everything || other.everything
	r.attributes = append(r.attributes, other.attributes...)
	slices.Sort(r.attributes)
	r.attributes = slices.Compact(r.attributes)
}

// readsOf returns the attributes that an expression reads. Only the variable `device` gives
// access to a device's data. The attributes are therefore known if every use of the
// variable has one of these forms:
//
//	device.driver   device.allowMultipleAllocations   device.capacity...
//	device.attributes["domain"].name   device.attributes["domain"]["name"]
//	device.attributes["domain"].?name   "name" in device.attributes["domain"]
//
// For any other use (macros over the map, computed keys, unusual literals) the result is
// "everything", which is always correct.
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

// mention parses one access to a device's data that starts with the token `device` at
// index i. It returns the attribute that it reads, or "" if it reads none. ok is false if
// the form of the access is not supported.
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

// entryName returns the name of the attribute that an access reads, without the domain:
// the name after the brackets, or before the word `in`. at returns the token at an offset
// from the word `device`. entryName returns false for a name that is called, since this
// is a macro or function over the map, and for a literal that is part of a larger
// operand, since it is not the whole key.
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

// tokenize splits a CEL expression into tokens. It returns false if the expression has an
// unsupported token.
func tokenize(expression string) ([]celToken, bool) {
	var tokens []celToken
	for i := 0; i < len(expression); {
		if strings.IndexByte(" \t\n\r", expression[i]) >= 0 {
			i++
			continue
		}
		token, width := nextToken(expression[i:])
		// Refuse a word directly before a quote, which makes the literal a raw or bytes
		// literal.
		if width == 0 || token.literal && i > 0 && isWordByte(expression[i-1]) {
			return nil, false
		}
		tokens = append(tokens, token)
		i += width
	}
	return tokens, true
}

// nextToken reads the token at the start of text. It returns the token's length, 0 if the
// token is not supported.
func nextToken(text string) (celToken, int) {
	switch c := text[0]; {
	case c == '"' || c == '\'':
		return plainLiteral(text)
	case isWordByte(c):
		end := 1
		for end < len(text) && isWordByte(text[end]) {
			end++
		}
		return celToken{text: text[:end]}, end
	case c == '`' || c >= 0x80 || strings.HasPrefix(text, "//"):
		return celToken{}, 0
	}
	return celToken{text: text[:1]}, 1
}

// plainLiteral reads a string literal of one line without escapes at the start of text.
// It also returns the literal's length, 0 for triple quotes and backslashes, which are not
// supported.
func plainLiteral(text string) (celToken, int) {
	quote := text[0]
	if len(text) >= 3 && text[1] == quote && text[2] == quote {
		return celToken{}, 0
	}
	end := strings.IndexByte(text[1:], quote)
	if end < 0 || strings.ContainsAny(text[1:1+end], "\\\n\r") {
		return celToken{}, 0
	}
	return celToken{text: text[1 : 1+end], literal: true}, end + 2
}

func isWordByte(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
