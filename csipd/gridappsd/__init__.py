"""The GridAPPS-D bus: commands that come in, reports that go out, devices that come from a model."""
