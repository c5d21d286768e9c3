// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster_test

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
)

// patience limits the wait for a change in the cluster. It is long enough for a machine
// that runs other tests.
const patience = 2 * time.Minute

var rayClusters = schema.GroupVersionResource{Group: "ray.io", Version: "v1", Resource: "rayclusters"}

func plainPod(name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "none"}}},
	}
}

func quantity(text string) resource.Quantity { return resource.MustParse(text) }

func createPod(t *testing.T, cluster *localcluster.Cluster, pod *corev1.Pod) {
	t.Helper()
	if _, err := clientset(t, cluster.AdminConfig()).CoreV1().Pods(pod.Namespace).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func getPod(t *testing.T, cluster *localcluster.Cluster, name string) *corev1.Pod {
	t.Helper()
	pod, err := clientset(t, cluster.AdminConfig()).CoreV1().Pods("default").Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

func wantRunning(t *testing.T, cluster *localcluster.Cluster, name string) {
	t.Helper()
	var pod *corev1.Pod
	eventually(t, "pod "+name+" runs", func() (bool, error) {
		pod = getPod(t, cluster, name)
		return pod.Status.Phase == corev1.PodRunning, nil
	}, func() string {
		status, err := json.Marshal(pod.Status)
		return string(status) + errorText(err)
	})
}

// createClaimTemplate creates a ResourceClaimTemplate for all devices of an ND H100 v5
// node.
func createClaimTemplate(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	request := func(name, class string) resourcev1.DeviceRequest {
		return resourcev1.DeviceRequest{Name: name, Exactly: &resourcev1.ExactDeviceRequest{DeviceClassName: class, Count: 8}}
	}
	template := &resourcev1.ResourceClaimTemplate{ObjectMeta: metav1.ObjectMeta{Name: "whole-node"}}
	template.Spec.Spec.Devices.Requests = []resourcev1.DeviceRequest{request("gpu", fleet.ClassGPU), request("nic", fleet.ClassRDMA)}
	if _, err := client.ResourceV1().ResourceClaimTemplates("default").Create(t.Context(), template, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// applySample applies a sample with kubectl, as a user would.
func applySample(t *testing.T, cluster *localcluster.Cluster, name string) {
	t.Helper()
	if output, err := cluster.Kubectl(t.Context(), "apply", "-f", sampleFile(t, name)).CombinedOutput(); err != nil {
		t.Fatalf("kubectl apply of %s: %v\n%s", name, err, output)
	}
}

func rayState(cluster map[string]any) string {
	state, _, err := unstructured.NestedString(cluster, "status", "state")
	return state + errorText(err)
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// eventually waits until a condition holds; explain describes the present state.
func eventually(t *testing.T, what string, holds func() (bool, error), explain func() string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		done, err := holds()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if done {
			return
		}
		if time.Now().After(deadline) {
			if explain == nil {
				explain = func() string { return "no more is known" }
			}
			t.Fatalf("not true after %s: %s; %s", patience, what, explain())
		}
	}
}

// listening returns the addresses on which the processes of the cluster in dir listen, and checks that all are loopback.
func listening(t *testing.T, dir string) []string {
	t.Helper()
	inodes := socketInodes(t, marked(t, dir))
	var addresses []string
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(content), "\n")[1:] {
			const local, state, inode, listen = 1, 3, 9, "0A"
			fields := strings.Fields(line)
			if len(fields) <= inode || fields[state] != listen || !inodes[fields[inode]] {
				continue
			}
			host, port, _ := strings.Cut(fields[local], ":")
			// 0100007F is 127.0.0.1 as the kernel prints it: hexadecimal, in the machine's
			// byte order.
			if host != "0100007F" {
				t.Errorf("%s: something listens on %s, which is not loopback", file, fields[local])
			}
			number, err := strconv.ParseUint(port, 16, 16)
			if err != nil {
				t.Fatal(err)
			}
			addresses = append(addresses, net.JoinHostPort("127.0.0.1", strconv.FormatUint(number, 10)))
		}
	}
	return addresses
}

// socketInodes returns the inodes of the open sockets of the processes.
func socketInodes(t *testing.T, pids []int) map[string]bool {
	t.Helper()
	inodes := map[string]bool{}
	for _, pid := range pids {
		links, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "fd", "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range links {
			// The process may close a descriptor between the two reads.
			if target, err := os.Readlink(link); err == nil {
				if inode, isSocket := strings.CutPrefix(target, "socket:["); isSocket {
					inodes[strings.TrimSuffix(inode, "]")] = true
				}
			}
		}
	}
	return inodes
}

// marked returns the processes whose environment contains dir. It does not use the code
// under test.
func marked(t *testing.T, dir string) []int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, file := range files {
		environ, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(environ), "DOVETAIL_LOCALCLUSTER="+dir+"\x00") {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			t.Fatal(err)
		}
		if pid != os.Getpid() {
			pids = append(pids, pid)
		}
	}
	return pids
}

func wantNothingLeft(t *testing.T, dir string, addresses []string) {
	t.Helper()
	if pids := marked(t, dir); len(pids) > 0 {
		t.Errorf("processes %v of %s are left", pids, dir)
	}
	for _, address := range addresses {
		if answers(address) {
			t.Errorf("a process listens on %s", address)
		}
	}
}

func answers(address string) bool {
	connection, err := net.Dial("tcp", address)
	if err != nil {
		return false
	}
	connection.Close()
	return true
}
