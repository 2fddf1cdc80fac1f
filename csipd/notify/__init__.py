"""Notifications on their way: connections to receivers, and the service that sends what is pending."""
