"""Loading the agent into a program that already runs."""
