"""What several tests need: certificates, a client, memory TLS, the schema."""
