// Package hourpass tells a client that sends an API key itself until when it works: `Sunset` (RFC 8594) and
// `Deprecation` (RFC 9745), from the identity headers of hourpass. Traefik copies such headers to the request alone.
package hourpass

import (
	"context"
	"net/http"
)

// Config has no options.
type Config struct{}

// CreateConfig is called by Traefik.
func CreateConfig() *Config {
	return &Config{}
}

// New is called by Traefik.
func New(_ context.Context, next http.Handler, _ *Config, _ string) (http.Handler, error) {
	return http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
		for _, name := range []string{"Sunset", "Deprecation"} {
			if value := request.Header.Get("Hourpass-Api-Key-" + name); value != "" {
				response.Header().Set(name, value)
			}
		}
		next.ServeHTTP(response, request)
	}), nil
}
