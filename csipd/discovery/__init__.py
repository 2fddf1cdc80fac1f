"""How clients find the server on a link: DNS-SD over multicast DNS (RFC 6763, RFC 6762), 2030.5-2018 7."""
