"""How the agent gets into a program that already runs."""
