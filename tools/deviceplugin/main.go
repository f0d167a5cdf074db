// Command deviceplugin offers a kubelet GPUs that do not exist, under the name that NVIDIA's plugin uses.
//
// How many: the number in $SIMULATED_GPUS, else in the file $SIMULATED_GPUS_FILE of the node. With 0 it
// registers nothing, as NVIDIA's plugin does on a node without GPUs, and waits for its end.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	api "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

const (
	resource       = "nvidia.com/gpu"
	socketName     = "simulated-gpu.sock"
	defaultFile    = "/var/lib/kubelet/simulated-gpus"
	registerWithin = 10 * time.Second
)

func main() {
	log.SetFlags(log.LstdFlags | log.LUTC)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	count, err := deviceCount(os.Getenv)
	if err != nil {
		log.Fatal(err)
	}
	if count == 0 {
		log.Print("this node has no simulated GPU: nothing to register")
		<-ctx.Done()
		return
	}
	if err := run(ctx, api.DevicePluginPath, newPlugin(count)); err != nil {
		log.Fatal(err)
	}
}

// deviceCount reads how many devices the node has.
func deviceCount(environment func(string) string) (int, error) {
	source, text := "$SIMULATED_GPUS", environment("SIMULATED_GPUS")
	if text == "" {
		source = environment("SIMULATED_GPUS_FILE")
		if source == "" {
			source = defaultFile
		}
		content, err := os.ReadFile(source)
		if err != nil {
			return 0, fmt.Errorf("how many GPUs the node has is unknown: %w; set SIMULATED_GPUS to a number", err)
		}
		text = string(content)
	}
	count, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || count < 0 {
		return 0, fmt.Errorf("%s holds %q, which is no number of GPUs: write 0 or more", source, text)
	}
	return count, nil
}

// run serves until ctx ends. A kubelet that starts empties the folder and forgets all plugins, so each new
// kubelet socket means: serve on a new socket of ours, and register again.
func run(ctx context.Context, folder string, devices *plugin) error {
	kubelet := filepath.Join(folder, filepath.Base(api.KubeletSocket))
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("cannot watch %s: %w", folder, err)
	}
	defer watcher.Close()
	if err := watcher.Add(folder); err != nil {
		return fmt.Errorf("cannot watch %s: %w; mount the kubelet's folder there", folder, err)
	}
	server, err := restart(ctx, nil, folder, kubelet, devices)
	for err == nil && ctx.Err() == nil {
		select {
		case <-ctx.Done():
			server.Stop()
		case err = <-watcher.Errors:
		case event := <-watcher.Events:
			if event.Name == kubelet && event.Has(fsnotify.Create) {
				log.Print("the kubelet has started anew")
				server, err = restart(ctx, server, folder, kubelet, devices)
			}
		}
	}
	if ctx.Err() != nil {
		return nil // told to end, perhaps in the middle of a registration
	}
	return err
}

// restart ends a server and starts another one; without a kubelet it is registered when that comes.
func restart(ctx context.Context, old *grpc.Server, folder, kubelet string, devices *plugin) (*grpc.Server, error) {
	if old != nil {
		old.Stop()
	}
	socket := filepath.Join(folder, socketName)
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("cannot serve on %s: %w", socket, err)
	}
	server := grpc.NewServer()
	api.RegisterDevicePluginServer(server, devices)
	go func() {
		if err := server.Serve(listener); err != nil {
			log.Printf("serving on %s ended: %v", socket, err)
		}
	}()
	if _, err := os.Stat(kubelet); err != nil {
		log.Printf("no kubelet listens on %s yet", kubelet)
		return server, nil
	}
	return server, register(ctx, kubelet, len(devices.devices))
}

// register tells the kubelet where the devices are to be had.
func register(ctx context.Context, kubelet string, count int) error {
	connection, err := grpc.NewClient("unix://"+kubelet, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("cannot reach the kubelet on %s: %w", kubelet, err)
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(ctx, registerWithin)
	defer cancel()
	request := &api.RegisterRequest{Version: api.Version, Endpoint: socketName, ResourceName: resource}
	// The socket's file is there a moment before the kubelet listens on it.
	_, err = api.NewRegistrationClient(connection).Register(ctx, request, grpc.WaitForReady(true))
	if err != nil {
		return fmt.Errorf("the kubelet refused %d x %s: %w", count, resource, err)
	}
	log.Printf("registered %d x %s", count, resource)
	return nil
}
