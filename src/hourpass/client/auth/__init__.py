"""The 401 strategy for each HTTP library, in a module named after it. Each needs the extra of that name."""
