"""A market to practise on: seeded ticks, or a recording, pushed over a WebSocket (``python -m mock_server``).

Nothing here imports the engine. The wire format is a written page with golden samples
(``docs/reference/mock-wire.md``), so that one mistake cannot sit on both ends of the line.

* :mod:`mock_server.listings`: the symbols it knows, their price levels and precisions
* :mod:`mock_server.script`, :mod:`mock_server.market`: the price process, from a seed to columns of integers
* :mod:`mock_server.recording`: a tick file to the same columns
* :mod:`mock_server.wire`: columns to frames of JSON text
* :mod:`mock_server.server`: the WebSocket server, its pace and its policy for slow clients
* :mod:`mock_server.cli`: the command line
"""
