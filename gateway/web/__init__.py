"""HTTP and WebSocket: endpoints, bodies, progress, OpenAPI and the pages."""
