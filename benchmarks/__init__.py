"""What is timed, side by side with a peer in one run; nothing here is a test."""
