"""The proxy: devices on one side, csipd on the other, and each request as it was meant."""
