"""Record and replay: what was asked of models and what they answered, in files, and runs made again from them."""
