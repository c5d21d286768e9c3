// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package perf

import (
	"encoding/xml"
	"fmt"
	"strings"
)

// The chart's dimensions, in SVG units.
const (
	chartWidth = 640
	barLeft    = 90
	barRoom    = 440
	barHeight  = 26
	barStep    = 38
	barsTop    = 52
)

var colours = map[Profile]string{Stock: "#8a8f98", Dovetail: "#2f6fde", Oracle: "#d9b44a"}

// Chart returns an SVG with a bar for the rate of each scheduler and a tick for every
// round.
func (c Comparison) Chart() string {
	most, measured := 0.0, c.measure()
	for _, p := range c.Profiles() {
		for _, f := range c.Rounds[p] {
			most = max(most, measured.rate(f))
		}
	}
	height := barsTop + barStep*len(c.Profiles()) + 16
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="14">`+"\n", chartWidth, height)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/>`+"\n"+`<text x="12" y="24" font-weight="bold">%s, %s</text>`+"\n", escape(c.Workload), measured.unit)
	for i, p := range c.Profiles() {
		c.bar(&b, p, barsTop+barStep*i, most)
	}
	fmt.Fprint(&b, "</svg>\n")
	return b.String()
}

func (c Comparison) bar(b *strings.Builder, p Profile, y int, most float64) {
	length := func(value float64) float64 {
		if most == 0 {
			return 0
		}
		return value / most * barRoom
	}
	rate, measured := c.Rate(p), c.measure()
	fmt.Fprintf(b, `<text x="12" y="%d">%s</text>`+"\n", y+18, p)
	fmt.Fprintf(b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", barLeft, y, length(rate), barHeight, colours[p])
	for _, f := range c.Rounds[p] {
		x := barLeft + length(measured.rate(f))
		fmt.Fprintf(b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#222"/>`+"\n", x, y+6, x, y+barHeight-6)
	}
	fmt.Fprintf(b, `<text x="%.1f" y="%d">%s</text>`+"\n", barLeft+barRoom+12.0, y+18, brief(rate))
}

func escape(text string) string {
	var b strings.Builder
	// Writing to a strings.Builder never fails.
	_ = xml.EscapeText(&b, []byte(text))
	return b.String()
}
