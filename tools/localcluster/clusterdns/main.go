// Command clusterdns is CoreDNS with the four plugins that the local cluster's Corefile names.
//
// The released CoreDNS links every cloud provider's client; leaving them out makes the build
// and the binary several times smaller.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/template"
)

func main() {
	// The order of the list is the order in which a query passes the plugins.
	dnsserver.Directives = []string{"bind", "errors", "kubernetes", "template"}
	coremain.Run()
}
