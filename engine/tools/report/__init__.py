"""The report of a backtest: one HTML file with everything in it, which needs no network and nothing installed."""
