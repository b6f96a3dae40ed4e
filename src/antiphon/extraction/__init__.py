"""Documents become text: a pool of confined child processes, and what runs in them."""
