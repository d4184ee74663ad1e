//go:build tools

// Package controlplane pins the programs of the sandbox's Kubernetes control
// plane. The replaces in go.mod are the staging modules that the go.mod of
// k8s.io/kubernetes lists, each at the release of the same number.
package controlplane

import (
	_ "go.etcd.io/etcd/server/v3"
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
	_ "k8s.io/kubernetes/cmd/kube-scheduler"
	_ "k8s.io/kubernetes/cmd/kubectl"
)
