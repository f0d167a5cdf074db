package main

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	api "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

// Environment that a container with a device gets. The first tells a server that no kernel will ever run
// on the GPU it was given; NVIDIA's own plugin sets the second, with the devices' UUIDs.
const (
	simulatedVariable = "KAITO_SIMULATED_GPU"
	visibleVariable   = "NVIDIA_VISIBLE_DEVICES"
)

// plugin hands out a fixed number of devices, all of them healthy.
type plugin struct {
	api.UnimplementedDevicePluginServer
	devices []*api.Device
}

func newPlugin(count int) *plugin {
	devices := make([]*api.Device, count)
	for i := range devices {
		devices[i] = &api.Device{ID: fmt.Sprintf("simulated-%d", i), Health: api.Healthy}
	}
	return &plugin{devices: devices}
}

// GetDevicePluginOptions asks for none of the optional calls.
func (*plugin) GetDevicePluginOptions(context.Context, *api.Empty) (*api.DevicePluginOptions, error) {
	return &api.DevicePluginOptions{}, nil
}

// ListAndWatch tells the devices once, and holds the stream: the kubelet takes its end for the plugin's.
func (p *plugin) ListAndWatch(_ *api.Empty, stream api.DevicePlugin_ListAndWatchServer) error {
	if err := stream.Send(&api.ListAndWatchResponse{Devices: p.devices}); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

// Allocate gives every container its devices' names in its environment.
func (p *plugin) Allocate(_ context.Context, request *api.AllocateRequest) (*api.AllocateResponse, error) {
	answer := &api.AllocateResponse{}
	for _, container := range request.GetContainerRequests() {
		for _, id := range container.GetDevicesIds() {
			if !p.has(id) {
				return nil, status.Errorf(codes.NotFound, "device %q is not one of the %d of this node", id, len(p.devices))
			}
		}
		answer.ContainerResponses = append(answer.ContainerResponses, &api.ContainerAllocateResponse{
			Envs: map[string]string{
				simulatedVariable: "true",
				visibleVariable:   strings.Join(container.GetDevicesIds(), ","),
			},
		})
	}
	return answer, nil
}

func (p *plugin) has(id string) bool {
	for _, device := range p.devices {
		if device.ID == id {
			return true
		}
	}
	return false
}
