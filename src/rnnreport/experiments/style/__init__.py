"""Neural style transfer: paintings, and content against style."""
