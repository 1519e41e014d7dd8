"""Screens in a browser: a server for loopback, and one viewer a tab. textual-serve's page draws them."""
