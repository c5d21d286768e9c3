// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"context"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// link reports when a watch breaks (broke) and when the next watch of the same kind has started
// (stands). The time between the two is an outage: the checker may see the changes of other
// kinds first.
type link struct {
	broke, stands func()

	mu     sync.Mutex
	broken bool
}

func (l *link) set(broken bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case broken && !l.broken:
		l.broke()
	case !broken && l.broken:
		l.stands()
	}
	l.broken = broken
}

// ifGone ends the outage of a kind that is no longer served: it has no changes to miss.
func (l *link) ifGone(err error) {
	if apierrors.IsNotFound(err) {
		l.set(false)
	}
}

// observe returns the source with its watches reported to the link.
func (l *link) observe(source cache.ListerWatcher) cache.ListerWatcher {
	from := cache.ToListerWatcherWithContext(source)
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			list, err := from.ListWithContext(ctx, options)
			l.ifGone(err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			started, err := from.WatchWithContext(ctx, options)
			if err != nil {
				l.set(true)
				l.ifGone(err)
				return nil, err
			}
			l.set(false)
			return l.follow(ctx, started), nil
		},
	}
}

// follow passes the events of a watch on and reports its end.
func (l *link) follow(ctx context.Context, from watch.Interface) watch.Interface {
	events := make(chan watch.Event)
	stopped := watch.NewProxyWatcher(events)
	go func() {
		defer close(events)
		defer from.Stop()
		for event := range from.ResultChan() {
			select {
			case events <- event:
			case <-stopped.StopChan():
				return
			case <-ctx.Done():
				return
			}
		}
		l.set(true)
	}()
	return stopped
}
