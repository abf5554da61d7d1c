"""The dashboard: a process of its own that watches an engine over loopback telemetry."""
