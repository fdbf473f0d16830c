"""What a task puts on a backbone: heads, and the network of both."""
