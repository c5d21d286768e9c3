// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// userNames are names that users write and that keep an abandoned word: a label and a flag.
var userNames = regexp.MustCompile(`native-(gang|groups)\b`)

// TestAbandonedWordsStayAway looks for the words of abandonedWords in all Go
// files. Run it with -v to see file and line of each hit.
func TestAbandonedWordsStayAway(t *testing.T) {
	all := sources(t)
	count := 0
	for _, file := range slices.Sorted(maps.Keys(all)) {
		if strings.HasPrefix(file, "pkg/internal/arch/") {
			continue // this package holds the words themselves
		}
		hits, err := wordHits(file, all[file])
		if err != nil {
			t.Fatal(err)
		}
		for _, hit := range hits {
			t.Error(hit)
		}
		count += len(hits)
	}
	t.Logf("%d hits", count)
}

// wordHits returns a line for each abandoned word of a file.
func wordHits(file string, text []byte) ([]string, error) {
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, file, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	words, names := abandonedIn(path.Dir(file))
	var hits []string
	hit := func(line int, old, now string) {
		hits = append(hits, fmt.Sprintf("%s:%d: %s, now %s", file, line, old, now))
	}
	for line, identifiers := range identifiersByLine(files, parsed) {
		for _, identifier := range identifiers {
			eachWord(identifier, words, func(old, now string) { hit(line, old+" in "+identifier, now) })
		}
	}
	for line, declared := range declaredByLine(files, parsed) {
		for _, name := range declared {
			if now, old := names[strings.ToLower(name)]; old && (name == "one" || !strings.HasSuffix(file, "_test.go")) {
				hit(line, name, now)
			}
		}
	}
	for _, group := range parsed.Comments {
		for _, comment := range group.List {
			first := files.Position(comment.Pos()).Line
			for i, line := range strings.Split(comment.Text, "\n") {
				eachWord(userNames.ReplaceAllString(line, ""), words, func(old, now string) { hit(first+i, old+" in a comment", now) })
			}
		}
	}
	slices.Sort(hits)
	return hits, nil
}

// wordPattern matches the words of a text, and those of an identifier in mixed case.
var wordPattern = regexp.MustCompile(`[A-Z]+[a-z]*|[a-z]+`)

// eachWord calls found for each abandoned word of a text or identifier.
func eachWord(text string, words map[string]string, found func(old, now string)) {
	for _, word := range wordPattern.FindAllString(text, -1) {
		if now, old := words[strings.ToLower(word)]; old {
			found(word, now)
		}
	}
}

// identifiersByLine returns each identifier of a file once a line.
func identifiersByLine(files *token.FileSet, parsed *ast.File) map[int][]string {
	byLine := map[int][]string{}
	ast.Inspect(parsed, func(node ast.Node) bool {
		if ident, ok := node.(*ast.Ident); ok {
			line := files.Position(ident.Pos()).Line
			if !slices.Contains(byLine[line], ident.Name) {
				byLine[line] = append(byLine[line], ident.Name)
			}
		}
		return true
	})
	return byLine
}

// declaredByLine returns the package-level names, methods and fields that a file
// declares, and its local variables `one`: a variable has the noun of its value.
func declaredByLine(files *token.FileSet, parsed *ast.File) map[int][]string {
	byLine := map[int][]string{}
	add := func(idents ...*ast.Ident) {
		for _, ident := range idents {
			line := files.Position(ident.Pos()).Line
			byLine[line] = append(byLine[line], ident.Name)
		}
	}
	ast.Inspect(parsed, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.FuncDecl:
			add(node.Name)
		case *ast.TypeSpec:
			add(node.Name)
		case *ast.StructType:
			for _, field := range node.Fields.List {
				add(field.Names...)
			}
		case *ast.InterfaceType:
			for _, method := range node.Methods.List {
				add(method.Names...)
			}
		}
		for _, local := range localNames(node) {
			if local.Name == "one" {
				add(local)
			}
		}
		return true
	})
	for _, declaration := range parsed.Decls {
		if general, ok := declaration.(*ast.GenDecl); ok {
			for _, spec := range general.Specs {
				if values, ok := spec.(*ast.ValueSpec); ok {
					add(values.Names...)
				}
			}
		}
	}
	return byLine
}

// localNames returns the variables and parameters that a node declares.
func localNames(node ast.Node) []*ast.Ident {
	var declared []ast.Expr
	switch node := node.(type) {
	case *ast.AssignStmt:
		if node.Tok == token.DEFINE {
			declared = node.Lhs
		}
	case *ast.RangeStmt:
		declared = []ast.Expr{node.Key, node.Value}
	case *ast.FuncType:
		var names []*ast.Ident
		for _, field := range node.Params.List {
			names = append(names, field.Names...)
		}
		return names
	}
	var names []*ast.Ident
	for _, expression := range declared {
		if ident, ok := expression.(*ast.Ident); ok {
			names = append(names, ident)
		}
	}
	return names
}

// abandonedIn returns the abandoned words and names of a package, each with what
// the tree uses now.
func abandonedIn(folder string) (words, names map[string]string) {
	words, names = map[string]string{}, map[string]string{}
	for _, group := range abandonedWords {
		if matchesAny(group.packages, folder) {
			maps.Copy(words, group.words)
			maps.Copy(names, group.names)
		}
	}
	return words, names
}

func TestWordHits(t *testing.T) {
	const text = "package plan\n\n// The book of gangs.\ntype gangBook struct{ Turn, rebook int }\n\nfunc (gangBook) last() { one, turn := 1, 2 }\n"
	got, err := wordHits("pkg/plan/x.go", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"pkg/plan/x.go:3: book in a comment, now Tracker",
		"pkg/plan/x.go:4: Book in gangBook, now Tracker",
		"pkg/plan/x.go:4: Turn, now Reservation, Effects or NextBatch",
		"pkg/plan/x.go:6: Book in gangBook, now Tracker",
		"pkg/plan/x.go:6: one, now the noun of the thing it is",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("hits (-want,+got):\n%s", diff)
	}
}
