"""The service's front door: one Jina Gateway that speaks gRPC, HTTP and WebSocket on one port.

Start with `gateway.SinglePortGateway`; a Flow names it by `uses: ../gateway/config.yml`.
"""
