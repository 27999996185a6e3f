"""Other projects that do what hourpass does, side by side with it: `python -m bench.peers`."""
