// Decodes documents of Kubernetes from standard input with the types of its API. A field that the API does not have is an error.
package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

func main() {
	text, err := io.ReadAll(os.Stdin)
	for _, document := range strings.Split(string(text), "\n---\n") {
		var kind struct{ Kind string }
		if err == nil {
			err = yaml.Unmarshal([]byte(document), &kind)
		}
		if err != nil {
			break
		}
		known := map[string]any{"StatefulSet": &apps.StatefulSet{}, "Secret": &core.Secret{}}[kind.Kind]
		if known == nil {
			err = fmt.Errorf("unknown kind %q", kind.Kind)
			break
		}
		err = yaml.UnmarshalStrict([]byte(document), known)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
