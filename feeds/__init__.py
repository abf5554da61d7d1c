"""Sources of ticks: a WebSocket venue (:mod:`feeds.ws`) or a loaded recording (:mod:`feeds.file`)."""
