"""What the agent and its viewers share: the protocol, the sockets, the names in the environment."""
